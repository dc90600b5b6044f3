// `doctor`: checks the configuration in this folder or a deployed Worker, and says how to fix each
// finding.

import { Admin, credentialInEnvironment } from "./admin.mjs";
import { checkConfiguration, issuerOf } from "./configuration.mjs";
import { checkDeployment } from "./deployment.mjs";
import { checkInside } from "./inside.mjs";
import { checkPage } from "./page.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { Report } from "./report.mjs";

/**
 * `doctor`, `doctor URL`, and either with `--page URL`
 *
 * @param {{ config?: string, env?: string, "secrets-file"?: string, page?: string }} options
 * @param {string} [url]
 */
export async function doctor({ page, ...options }, url) {
  if (url !== undefined) {
    if (Object.keys(options).length > 0) throw new Misuse("With a URL, the only option is --page. Remove the others, or the URL.");
    if (!URL.canParse(url)) throw new Misuse("URL must be a whole URL, such as https://session.example.com");
  }
  if (page !== undefined) {
    if (!URL.canParse(page)) throw new Misuse("--page must be a whole URL, such as https://app.example.com");
    if (options["secrets-file"] !== undefined) throw new Misuse("--page checks no secrets. Remove --secrets-file.");
  }
  const report = new Report();
  try {
    if (url !== undefined) await checkWorker(report, new URL(url));
    else if (page === undefined) checkConfiguration(report, options);
    if (page !== undefined) await checkPage(report, new URL(page), url ?? issuerOf(options));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    report.error(error.message);
  }
  return report.end();
}

/**
 * Checks a deployed Worker: from outside, and with an operator's credential also what only the
 * Worker knows.
 *
 * @param {Report} report
 * @param {URL} url
 */
async function checkWorker(report, url) {
  const credential = credentialInEnvironment();
  if (!(await checkDeployment(report, url)) || credential === undefined) return;
  await checkInside(report, new Admin(url.origin, credential));
}
