// The marked regions of docs/performance.md: `<!-- bench:NAME -->`, what is written here, `<!-- /bench:NAME -->`.

const marks = (name) => [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];

/** The names whose marks are not there exactly once and in order. */
export function missing(page, names) {
  return names.filter((name) => {
    const [begin, end] = marks(name);
    const once = (mark) => page.split(mark).length === 2;
    return !(once(begin) && once(end) && page.indexOf(begin) < page.indexOf(end));
  });
}

/** The lines that a page needs for these names. */
export function needed(names) {
  return names.map((name) => marks(name).join("\n")).join("\n\n");
}

/** The page with new contents, by name; everything else stays as it is. */
export function rewrite(page, contents) {
  return Object.entries(contents).reduce((text, [name, content]) => {
    const [begin, end] = marks(name);
    const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
    return `${text.slice(0, from)}\n${content}\n${text.slice(to)}`;
  }, page);
}
