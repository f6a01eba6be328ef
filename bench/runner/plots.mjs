// The results as SVG, written by hand: bars for figures, lines for growth.

import { number } from "./results.mjs";

const FONT = 'font-family="system-ui, sans-serif"';
const COLOURS = ["#0b6e4f", "#8d99ae", "#3a86ff", "#d1495b", "#edae49", "#7b2cbf"];
const INK = "#222";

const escape = (text) =>
  String(text)
    .replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`)
    .replaceAll("`", "");
const text = (x, y, words, more = "") =>
  `<text x="${x}" y="${y}" ${FONT} font-size="12" fill="${INK}" ${more}>${escape(words)}</text>`;
const round = (value) => Math.round(value * 10) / 10;

function page(width, height, title, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escape(title)}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${text(16, 24, title, 'font-weight="bold"')}
${parts.join("\n")}
</svg>
`;
}

/** Groups of horizontal bars, each group in its own scale: `[{title, bars: [{label, value}]}]`. */
export function bars(title, groups) {
  const [left, width, step] = [300, 860, 20];
  const labels = [...new Set(groups.flatMap(({ bars }) => bars.map(({ label }) => label)))];
  const parts = [];
  let y = 48;
  for (const group of groups) {
    parts.push(text(16, y, group.title, 'font-style="italic"'));
    y += 8;
    const largest = Math.max(...group.bars.map(({ value }) => value), Number.MIN_VALUE);
    for (const { label, value } of group.bars) {
      const length = round((Math.max(value, 0) / largest) * (width - left - 100));
      parts.push(text(left - 8, y + 14, label, 'text-anchor="end"'));
      parts.push(
        `<rect x="${left}" y="${y + 3}" width="${length}" height="${step - 6}" fill="${COLOURS[labels.indexOf(label) % COLOURS.length]}"/>`,
      );
      parts.push(text(left + length + 6, y + 14, number(value)));
      y += step;
    }
    y += 26;
  }
  return page(width, y, title, parts);
}

/** Lines over whole numbers: `[{label, points: [[x, y]], dashed}]`. */
export function lines(title, across, up, series) {
  const [left, top, width, height] = [64, 48, 860, 420];
  const [right, bottom] = [width - 250, height - 56];
  const points = series.flatMap(({ points }) => points);
  const [maxX, maxY] = [0, 1].map((index) => Math.max(...points.map((point) => point[index]), 1));
  const x = (value) => round(left + (value / maxX) * (right - left));
  const y = (value) => round(bottom - (value / maxY) * (bottom - top));
  const parts = [`<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="${INK}"/>`];
  for (const value of [...new Set(points.map(([value]) => value))])
    parts.push(text(x(value), bottom + 18, value, 'text-anchor="middle"'));
  for (let value = 0; value <= maxY; value += Math.max(1, Math.ceil(maxY / 8)))
    parts.push(text(left - 8, y(value) + 4, value, 'text-anchor="end"'));
  parts.push(text((left + right) / 2, height - 16, across, 'text-anchor="middle"'), text(left, top - 8, up));
  series.forEach(({ label, points, dashed }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = points.map(([across, up], at) => `${at === 0 ? "M" : "L"}${x(across)} ${y(up)}`).join("");
    parts.push(
      `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ""}/>`,
    );
    parts.push(...points.map(([across, up]) => `<circle cx="${x(across)}" cy="${y(up)}" r="3" fill="${colour}"/>`));
    parts.push(
      `<rect x="${right + 16}" y="${top + index * 22}" width="12" height="12" fill="${colour}"/>`,
      text(right + 34, top + 10 + index * 22, label),
    );
  });
  return page(width, height, title, parts);
}
