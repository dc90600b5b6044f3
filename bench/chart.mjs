// Bar charts as SVG, readable on any background.

const [WIDTH, LABEL, BAR, ROW, HEAD] = [760, 250, 380, 24, 34];
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** `groups` of `rows` with a label, a value and its text; `reference` draws a line at that
 * value. */
export function bars({ title, groups, reference }) {
  const max = Math.max(reference ?? 0, ...groups.flatMap(({ rows }) => rows.map(({ value }) => value)));
  const length = (value) => Math.max(1, (value / max) * BAR);
  const parts = [];
  let y = 46;
  for (const { heading, rows } of groups) {
    parts.push(`<text x="16" y="${y + 14}" font-weight="600">${escape(heading)}</text>`);
    y += HEAD - 8;
    const top = y;
    for (const { label, value, text, strong } of rows) {
      parts.push(
        `<text x="${LABEL - 8}" y="${y + 13}" text-anchor="end">${escape(label)}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${length(value).toFixed(1)}" height="17" rx="2" fill="${strong ? "#6d4aff" : "#9aa3af"}"/>`,
        `<text x="${(LABEL + length(value) + 6).toFixed(1)}" y="${y + 13}">${escape(text)}</text>`,
      );
      y += ROW;
    }
    if (reference !== undefined) {
      const x = (LABEL + length(reference)).toFixed(1);
      parts.push(`<line x1="${x}" x2="${x}" y1="${top - 3}" y2="${y - 4}" stroke="#d1242f" stroke-dasharray="3 3"/>`);
    }
    y += 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 6}" width="${WIDTH}" height="${y + 6}" font-family="system-ui, sans-serif" font-size="12.5" fill="#1f2328" role="img" aria-label="${escape(title)}">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="28" font-size="15" font-weight="600">${escape(title)}</text>
${parts.join("\n")}
</svg>
`;
}
