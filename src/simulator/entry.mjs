// Where the runtime enters. "worker/glue" is what wasm-bindgen makes (scripts/build.mjs).

import { fetch, initSync } from "worker/glue";
import module from "./index_bg.wasm";

initSync({ module });

export default { fetch };
