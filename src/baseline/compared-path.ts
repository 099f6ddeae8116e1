// Paths as baselines compare them. Labels and what is shown keep what is folded here: two releases of one application
// stay apart in a tree, but a new one is no alarm.
import { mergedPath, USER_MOUNTS } from "../fingerprint/path.ts";

/**
 * A directory that is a version (`15`, `v20`, `17.0.9+9`) or an abbreviated commit, which git writes with at least seven
 * digits. A commit of decimal digits looks like a version, and longer ones have become `random`, so all of them fold into
 * one.
 */
const isRelease = /^(?:v?[0-9]+(?:[._+-][0-9]+)*|[0-9a-f]{7,}|random)$/;
const RELEASE = "*";
/** `java-17-openjdk-amd64`, `temurin-17.0.9+9`, `linux-tools-6.1.0-18`, and `bash-5.2-p15` of Nix. */
const versionInName = /(?<=[A-Za-z+*])[-_][vp]?[0-9]+(?:[._+-][0-9]+)*(?=$|[-_.])/g;
/** JDKs whose name and version have nothing between them: `jdk1.8.0_392`, `zulu17`, `graalvm-ce-java17-22.3.0`. */
const javaVersion = /(?<![A-Za-z])((?:open)?jdk|jre|java|zulu)[0-9]+(?:[._+-][0-9]+)*/g;
/** What belongs to one user: `/home/web-1` and `/home/web-2`, `/run/user/0` and `/run/user/1000` are no releases. */
const usersFolder = /^\/(?:home|run\/user)\/[^/]+(?=\/)/;
/** Nothing is folded in directories that do not match. */
const mayFold = /[0-9]|[a-f]{7}|random/;

/**
 * A folded path (`Runnable.folded`) as it is compared: directories of /bin, /sbin and /lib below /usr, and directories
 * that are or have a version, a JDK or an abbreviated commit folded. The directories at the top, the folder of a user and
 * the file's own name stay, so no two programs of one directory are equal, and no two users'. Idempotent.
 */
export function comparedPath(path: string): string {
  if (path.startsWith(USER_MOUNTS)) return USER_MOUNTS + comparedPath(path.slice(USER_MOUNTS.length));
  const merged = mergedPath(path);
  const end = merged.lastIndexOf("/");
  const top = usersFolder.exec(merged)?.[0].length ?? merged.indexOf("/", 1);
  if (top === -1 || top === end || !path.startsWith("/")) return merged;
  const directories = merged.slice(top + 1, end);
  if (!mayFold.test(directories)) return merged;
  return `${merged.slice(0, top)}/${directories.split("/").map(foldedDirectory).join("/")}${merged.slice(end)}`;
}

function foldedDirectory(name: string): string {
  if (isRelease.test(name)) return RELEASE;
  let folded = name;
  for (;;) {
    const shorter = folded.replace(versionInName, "").replace(javaVersion, "$1");
    if (shorter === folded) return folded;
    folded = shorter;
  }
}
