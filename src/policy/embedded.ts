// The role files that come with treewarden, as text inside the binary.
import base from "../../policies/base.json" with { type: "text" };
import baseline from "../../policies/baseline.json" with { type: "text" };
import bastion from "../../policies/bastion.json" with { type: "text" };
import build from "../../policies/build.json" with { type: "text" };
import containerHost from "../../policies/container-host.json" with { type: "text" };
import database from "../../policies/database.json" with { type: "text" };
import mail from "../../policies/mail.json" with { type: "text" };
import web from "../../policies/web.json" with { type: "text" };

/** By role. TypeScript types a .json import as its parsed content; at run time it is the text. */
export const embeddedPolicies: ReadonlyMap<string, string> = new Map([
  ["base", String(base)],
  ["baseline", String(baseline)],
  ["web", String(web)],
  ["database", String(database)],
  ["bastion", String(bastion)],
  ["container-host", String(containerHost)],
  ["build", String(build)],
  ["mail", String(mail)],
]);
