// Reads the workflows of .github, which run with the rights of the repository.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";

const folder = `${root}/.github/workflows`;

for (const name of readdirSync(folder)) {
  describe(name, () => {
    const text = readFileSync(`${folder}/${name}`, "utf8");

    test("names each action by its commit, with the version beside it", () => {
      const uses = text.match(/uses:.*/g);
      assert.ok(uses.length > 0);
      for (const line of uses) assert.match(line, /^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    });

    test("may only read unless a job asks for more, and knows no secret", () => {
      assert.match(text, /^permissions:\n {2}contents: read$/m);
      assert.doesNotMatch(text, /secrets\./);
      assert.doesNotMatch(text, /pull_request_target/);
    });
  });
}
