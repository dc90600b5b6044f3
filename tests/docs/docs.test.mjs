// The documents: every fenced block runs, every link leads somewhere, and every fact that they
// repeat is the source's.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { compare, parts } from "../../docs/.vitepress/pages.mjs";
import { outside } from "../../docs/.vitepress/links.mjs";
import { paths, root } from "../../scripts/paths.mjs";
import { anchors, deadLinks, headings, name, pages, read, table } from "./document.mjs";
import { fences } from "./fences.mjs";
import * as source from "./source.mjs";
import { openStage } from "./stage.mjs";
import { Story, isAnswer } from "./story.mjs";

/** Blocks that nobody runs may be wrong, so only one in ten may be like that. */
const MAX_SHARE_NOT_RUN = 0.1;
/** A reader looks through so much before the first click. */
const README_LINES = 150;

/** Fails with the names that only one side has. */
function sameNames(documented, actual, document, what) {
  const missing = actual.filter((each) => !documented.includes(each));
  const extra = documented.filter((each) => !actual.includes(each));
  const duplicate = documented.filter((each, index) => documented.indexOf(each) !== index);
  const problems = [
    missing.length > 0 && `${document} lacks ${what}: ${missing.join(", ")}`,
    extra.length > 0 && `${document} has ${what} that do not exist: ${extra.join(", ")}`,
    duplicate.length > 0 && `${document} has ${what} more than once: ${duplicate.join(", ")}`,
  ].filter(Boolean);
  assert.ok(problems.length === 0, problems.join("\n"));
}

describe("the fenced blocks of the documents", () => {
  const counts = {};
  const reasons = [];
  let stage;
  before(async () => {
    stage = await openStage();
  });
  after(async () => {
    await stage?.close();
    const { real = 0, run = 0, background = 0, check = 0, file = 0, answer = 0, figure = 0 } = counts;
    console.log(`Documents: ${run + background} blocks run, ${answer} answers compared, ${check} checked, ${file} files written, ${figure} figures, ${real} not run:`);
    for (const reason of reasons) console.log(`  ${reason}`);
  });

  async function play(file, text) {
    const blocks = fences(text, file);
    await stage.findPorts(blocks);
    const story = new Story(file.replace(/\.md$/, ""), stage);
    try {
      for (const block of blocks) await story.run(block);
      story.checkTypes();
    } finally {
      story.close();
    }
    return story;
  }

  for (const page of pages().filter((path) => /^ *```/m.test(read(path)))) {
    test(`${page}: its blocks run, as one story`, async () => {
      const story = await play(page, read(page));
      for (const [kind, count] of Object.entries(story.counts)) counts[kind] = (counts[kind] ?? 0) + count;
      reasons.push(...story.reasons);
    });
  }

  test("at most a tenth of the blocks is not run", () => {
    const blocks = pages().flatMap((page) => fences(read(page), page));
    const real = blocks.filter(({ kind }) => kind === "real");
    assert.ok(real.length <= blocks.length * MAX_SHARE_NOT_RUN, `${real.length} of ${blocks.length} blocks are not run: ${real.map(({ at }) => at).join(", ")}`);
  });

  const fenced = (...blocks) => blocks.map(([info, ...lines]) => `\`\`\`${info}\n${lines.join("\n")}\n\`\`\`\n`).join("\n");

  test("the runner plays a story: a file, a server, an answer, types, HTML and settings", async () => {
    const story = await play("good.md", fenced(
      ["js file=server.js", 'import { createServer } from "node:http";', "const server = createServer((request, response) => response.end(JSON.stringify({ a: 1, b: [2] })));", 'server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));'],
      ["sh background", "node server.js | tee url"],
      ["sh run", "curl -s $(cat url)"],
      ["json answer", '{"a": 1, …}'],
      ["sh run", "npm install pioneer-session express", "npx pioneer-session --version"],
      ["text answer", "0.….…"],
      ["ts check", 'import { verify } from "pioneer-session";', 'const { uid }: { uid: string } = await verify("", { issuer: "https://a.example", audience: "a" });', "console.log(uid);"],
      ["html check", '<p>a<br><b class="x">b</b></p>', '<script type="module">const a = 1 < 2;</script>'],
      ["toml check", "[vars]", 'SESSION_AUDIENCE = "another"'],
      ['sh real="needs an account"', "false"],
      ["text figure", "a ──► b"],
    ));
    assert.deepEqual(story.counts, { file: 1, background: 1, run: 2, answer: 2, check: 3, real: 1, figure: 1 });
    assert.deepEqual(story.reasons, ["good.md:44: needs an account"]);
  });

  for (const [what, message, ...blocks] of [
    ["a block without a word", /^bad\.md:1: this block does not say how it is tested/, ["sh", "true"]],
    ["a word that it does not know", /^bad\.md:1: this block does not know `js run`/, ["js run", "1"]],
    ["a reason that is empty", /^bad\.md:1: this block does not know/, ['sh real=""', "1"]],
    ["a command that fails", /^bad\.md:5: ended with 3/, ["sh run", "true"], ["sh run", "exit 3"]],
    ["a command that fails within a pipe", /^bad\.md:1: ended with 1/, ["sh run", "false | cat"]],
    ["a wrong answer", /^bad\.md:5: the answer should be\nb/, ["sh run", "echo a"], ["text answer", "b"]],
    ["an answer without a command", /^bad\.md:1: no block before this answer/, ["text answer", "a"]],
    ["a server that ends", /^bad\.md:1: the server ended with 0/, ["sh background", "true"]],
    ["a file outside of its folder", /^bad\.md:1: .* is outside/, ["js file=../../a.js", "1"]],
    ["a package that nothing prepared", /^bad\.md:1: ended with 1:\nleft-pad is not/, ["sh run", "npm install left-pad"]],
    ["a wrong type", /^bad\.md, block of line 1, its line 1 .*TS2322/, ["ts check", 'const a: number = "b";', "console.log(a);"]],
    ["an element without an end", /^bad\.md:1: <\/p> ends <b>/, ["html check", "<p><b></p>"]],
    ["a query of a column that does not exist", /^bad\.md:1: no such column/, ["sql file=a.sql", "SELECT colour FROM users;"]],
  ]) {
    test(`the runner refuses ${what}`, () => assert.rejects(play("bad.md", fenced(...blocks)), ({ message: actual }) => message.test(actual) || assert.fail(actual)));
  }

  test("an answer may leave out anything that … stands for, and nothing else", () => {
    assert.ok(isAnswer('{"a": 1, …}', '{"a":1,"b":2}\n', "json"));
    assert.ok(isAnswer("a … c", "a b\nb c", "text"));
    assert.ok(!isAnswer('{"a": 1}', '{"a":1,"b":2}', "json"));
    assert.ok(!isAnswer("a.c", "abc", "text"));
    assert.ok(!isAnswer("a", "b\na", "text"));
  });
});

describe("the documents against the source", () => {
  test("docs/errors.md has a heading for each error code", () => {
    const codes = [...new Set([...source.workerCodes(), ...source.packageCodes(), ...source.browserCodes()])];
    sameNames(headings(read("docs/errors.md"), 2), codes, "docs/errors.md", "codes");
  });

  test("docs/settings.md has a row for each setting, with its default", () => {
    const settings = source.settings();
    const rows = table(read("docs/settings.md"), "name", "kind", "default");
    sameNames(rows.map(([cell]) => name(cell)), Object.keys(settings), "docs/settings.md", "settings");
    for (const [cell, , written] of rows) {
      const expected = settings[name(cell)];
      if (expected !== undefined) assert.equal(name(written), expected, `docs/settings.md has another default for ${name(cell)} than src/service/settings.rs`);
    }
  });

  test("docs/cli.md has a heading for each command", () => {
    sameNames(headings(read("docs/cli.md"), 2), source.commands(), "docs/cli.md", "commands");
  });

  test("docs/http.md has a row for each route", () => {
    sameNames(table(read("docs/http.md"), "route", "caller").map(([cell]) => name(cell)), source.routes(), "docs/http.md", "routes");
  });

  test("docs/storage.md has a row for each column", () => {
    const documented = table(read("docs/storage.md"), "table", "column").map(([first, second]) => `${name(first)}.${name(second)}`);
    sameNames(documented, source.columns(), "docs/storage.md", "columns");
  });

  test("the homepage is the same for npm and for crates.io", () => {
    assert.equal(JSON.parse(read("package.json")).homepage, read("Cargo.toml").match(/^homepage = "(.+)"$/m)?.[1]);
  });

  test("a name that only one side has is reported", () => {
    assert.throws(() => sameNames(["a", "b", "b"], ["a", "c"], "x.md", "codes"), /x\.md lacks codes: c\nx\.md has codes that do not exist: b, b\nx\.md has codes more than once: b/);
  });
});

describe("the site", () => {
  const built = (path) => readFileSync(`${root}/target/site/${path}`, "utf8");
  before(() => execFileSync(`${paths.modules}/.bin/node`, ["scripts/docs.mjs"], { cwd: root, encoding: "utf8", stdio: "pipe" }));

  for (const page of parts().flatMap(({ pages }) => pages)) {
    test(`${page}: it has the anchors that GitHub makes, and loads nothing from another host`, () => {
      const html = built(`${page}.html`);
      const ids = [...html.matchAll(/<h[1-6] id="([^"]+)"/g)].map(([, id]) => id);
      assert.deepEqual(ids, [...anchors(read(`docs/${page}.md`))]);
      const loaded = [...html.matchAll(/<(?:script|img|iframe|source)\b[^>]* src="([^"]+)"|<link\b[^>]* href="([^"]+)"/g)].map(([, src, href]) => src ?? href);
      assert.deepEqual(loaded.filter((url) => /^([a-z]+:)?\/\//.test(url)), []);
    });
  }

  test("every page is there as Markdown, and llms.txt lists it", () => {
    const { homepage } = JSON.parse(read("package.json"));
    for (const page of parts().flatMap(({ pages }) => pages)) {
      assert.ok(built(`${page}.md`).startsWith("# "), page);
      assert.ok(built("llms.txt").includes(`(${homepage}${page}.md)`), page);
      assert.ok(built("llms-full.txt").includes(built(`${page}.md`)), page);
    }
  });
});

describe("links and the sidebar", () => {
  for (const path of ["SECURITY.md", "CONTRIBUTING.md", ...pages()]) {
    test(`${path}: every link leads to a file and a heading`, () => assert.deepEqual(deadLinks(path), []));
  }

  test("a link to a missing file or heading is found, in tables too", () => {
    const text = "# A `b_c`\n\n[1](#a-b_c) [2](#a) [3](docs/none.md)\n\n| a |\n|---|\n| [4](README.md#none) |\n";
    assert.deepEqual(deadLinks("a.md", text), ["a.md:3: #a (no such heading)", "a.md:3: docs/none.md (no such file)", "a.md:7: README.md#none (no such heading)"]);
  });

  test(`README.md has at most ${README_LINES} lines`, () => {
    const lines = read("README.md").trimEnd().split("\n").length;
    assert.ok(lines <= README_LINES, `README.md has ${lines} lines. Move a part of it to docs/.`);
  });

  test("every page is in the sidebar, and every entry of the sidebar has a page", () => assert.ok(parts().length > 0));

  test("a page without an entry and an entry without a page are found", () => {
    const found = compare({ a: ["x", "y", "y"], b: ["folder/"] }, ["x", "z", "folder/1"]);
    assert.deepEqual(found, { missing: ["y", "y"], unlisted: ["z"], duplicate: ["y"] });
  });

  test("a link that leaves docs/ or names a folder leads to GitHub", () => {
    assert.match(outside("decisions/", "architecture.md"), /\/blob\/main\/docs\/decisions\/$/);
    assert.match(outside("../demo/demo.js#x", "try.md"), /^https:\/\/github\.com\/.+\/blob\/main\/demo\/demo\.js#x$/);
    for (const link of ["errors.md#a", "#a", "https://a.example", "../errors.md"]) assert.equal(outside(link, link.startsWith("..") ? "decisions/a.md" : "try.md"), link);
  });
});
