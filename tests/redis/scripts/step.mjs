// The words that scripts are written in.
//
// A script is a name and a list of steps. Each step writes something on one connection, which is opened when its name
// is first used; then what has come on all connections is compared. Connections a, c, e are on the first gateway, the
// others on the second one.
//
// Options of a step:
//   closes     the server closes the connection
//   partial    what is written is no whole command yet: nothing is compared before the next step
//   unordered  Redis has no order of its own for the names in the answer, so they are sorted
//   pushesLast why: replies and pushes keep their order, each among themselves
//   perChannel why: messages keep their order in each channel, and channels have none among them
//   settles    asked again until the answer is the expected one: what it asks for is done after a connection's end
//   about      a name in NORMAL of compare.mjs: what of the answer is compared
//   differs    {why, campanile}: what Campanile answers instead, as bytes; every use is a difference that somebody may meet

/** One command. Text is split at spaces. */
export const say = (connection, words, options = {}) => ({ connection, commands: [words], ...options });

/** Several commands in one write. */
export const pipeline = (connection, commands, options = {}) => ({ connection, commands, ...options });

/** Bytes as they are. */
export const raw = (connection, bytes, options = {}) => ({ connection, bytes: Buffer.from(bytes, "latin1"), ...options });

/** `protocols`: the versions in which the script is run; each connection says `HELLO` first in version 3. */
export const script = (name, steps, { protocols = [2, 3] } = {}) => ({ name, steps, protocols });
