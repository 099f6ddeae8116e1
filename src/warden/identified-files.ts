// The files that closed processes may execute, as the kernel recognises them.
import type { OpenedPath } from "../examiner/client.ts";
import {
  changedAt,
  type FileIdentity,
  type Prevention,
  SETTLED_NS,
} from "../sensor/prevention/closed-set.ts";
import { type PathAnswer, PathAnswers } from "./path-answers.ts";

/**
 * What is at a path. `none`: nothing, and only root can change that. `unsafe`: what others than root can change. `recent`: a
 * file that was changed so shortly before that it cannot be distinguished from a later one.
 */
export interface IdentifiedFile extends PathAnswer {
  readonly is: FileIdentity | "none" | "unsafe" | "recent";
}

export class IdentifiedFiles extends PathAnswers<IdentifiedFile> {
  /** Paths at which the kernel has ended what may run there. Invalidated as what is known of them. */
  private readonly mistaken = new Set<string>();

  /** The examiner `pid` has opened files. True if no other answer that counts is outstanding. */
  onOpened(
    pid: number,
    opened: readonly OpenedPath[],
    kernel: Pick<Prevention, "identify"> | undefined,
  ): boolean {
    const descriptors = opened.flatMap(({ fd }) => fd ?? []);
    const identities = kernel?.identify(pid, descriptors);
    for (const { path, is, fd } of opened)
      this.accept(path, (since) => {
        if (is !== "file") return { is, since };
        const identity = (fd === undefined ? undefined : identities?.get(fd)) ?? "unsafe";
        const isRecent = identity !== "unsafe" && changedAt(identity) >= since - SETTLED_NS;
        return { is: isRecent ? "recent" : identity, since };
      });
    return this.isComplete;
  }

  /** Has those at or below any of `folders` identified again; false if there are none. */
  forgetBelow(folders: ReadonlySet<string>): boolean {
    return this.forgetThose((path) => isAtOrBelow(path, folders));
  }

  protected override isRecent({ is }: IdentifiedFile): boolean {
    return is === "recent";
  }

  protected override forgetThose(isForgotten: (path: string) => boolean): boolean {
    for (const path of [...this.mistaken]) if (isForgotten(path)) this.mistaken.delete(path);
    return super.forgetThose(isForgotten);
  }

  /**
   * The kernel has ended what may run at this path: another file than was identified. It is identified again, and if that
   * does not help, no file there is an exception that the kernel could recognise. False if no file there was identified.
   */
  correct(path: string): boolean {
    const file = this.answerTo(path);
    const isNoException = file !== undefined && this.mistaken.has(path);
    this.replace(path, isNoException ? { ...file, is: "unsafe" } : undefined);
    if (file === undefined) return this.isAsked(path);
    this.mistaken.add(path);
    return true;
  }
}

function isAtOrBelow(path: string, folders: ReadonlySet<string>): boolean {
  if (folders.has(path) || folders.has("/")) return true;
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
    if (folders.has(path.slice(0, end))) return true;
  return false;
}
