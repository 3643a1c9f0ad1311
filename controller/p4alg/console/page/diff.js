// What differs between what was read and what was sent.

const MOST = 400;

// The pieces of both texts: { read: [[text, differs]], sent: [[text, differs]] }.
export function marked(read, sent) {
  const from = read.split(/(?<=\n)/);
  const to = sent.split(/(?<=\n)/);
  const out = { read: [], sent: [] };
  if (from.length * to.length > MOST * MOST) {
    within(read, sent, out);
    return out;
  }
  const common = longest(from, to);
  let a = 0;
  let b = 0;
  for (const [i, j] of [...common, [from.length, to.length]]) {
    const lost = from.slice(a, i);
    const made = to.slice(b, j);
    // Lines that stand for each other are compared in themselves.
    for (let n = 0; n < Math.max(lost.length, made.length); n += 1) within(lost[n] ?? "", made[n] ?? "", out);
    if (i < from.length) {
      out.read.push([from[i], false]);
      out.sent.push([to[j], false]);
    }
    a = i + 1;
    b = j + 1;
  }
  return out;
}

// The pairs of lines that both have, in order, as many as possible.
function longest(from, to) {
  const lengths = Array.from({ length: from.length + 1 }, () => new Uint16Array(to.length + 1));
  for (let i = from.length - 1; i >= 0; i -= 1) {
    for (let j = to.length - 1; j >= 0; j -= 1) {
      lengths[i][j] = from[i] === to[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < from.length && j < to.length; ) {
    if (from[i] === to[j]) pairs.push([i++, j++]);
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i += 1;
    else j += 1;
  }
  return pairs;
}

// What is between the words with which both begin and end.
function within(read, sent, out) {
  const from = read.split(/(?<=[\s,;:@/=])|(?=[\s,;:@/=])/);
  const to = sent.split(/(?<=[\s,;:@/=])|(?=[\s,;:@/=])/);
  let start = 0;
  while (start < from.length && start < to.length && from[start] === to[start]) start += 1;
  let end = 0;
  while (end < from.length - start && end < to.length - start && from.at(-1 - end) === to.at(-1 - end)) end += 1;
  for (const [side, words] of [["read", from], ["sent", to]]) {
    const parts = [words.slice(0, start), words.slice(start, words.length - end), words.slice(words.length - end)];
    parts.forEach((part, at) => part.length && part.join("") && out[side].push([part.join(""), at === 1]));
  }
}

// Bytes (a character each) as text: what cannot be seen is escaped, and the ends of lines are shown.
export function visible(text) {
  return text.replace(/\r\n|[^\x20-\x7e]/g, (found) => {
    if (found === "\r\n") return "\\r\\n\n";
    if (found === "\n") return "\\n\n";
    if (found === "\r") return "\\r";
    if (found === "\t") return "\\t";
    return `\\x${found.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
