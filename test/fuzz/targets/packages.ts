// Package databases: root's files, but packages choose what is in them.
import { parseChecksum, readInstalled } from "../../../src/examiner/apk.ts";
import { findDigest, parseDiversions, parsePackageStatus } from "../../../src/examiner/dpkg.ts";
import { parseRpmHeader } from "../../../src/examiner/rpm-header.ts";
import { type FuzzTarget, latin1, sizeOf } from "../target.ts";

export const dpkg: FuzzTarget = {
  name: "dpkg",
  parses: "status, diversions and md5sums of dpkg",
  weight: 8,
  words: ["Package: ", "Status: install ok installed", "Essential: yes", "\n\n"],
  parse(input) {
    const text = latin1(input);
    const found = [parsePackageStatus(text), [...parseDiversions(text)], findDigest(text, () => true)];
    return sizeOf(found);
  },
};

export const apk: FuzzTarget = {
  name: "apk",
  parses: "Alpine's list of installed files",
  weight: 8,
  words: ["P:", "\nF:", "\nR:", "\nZ:Q1", "\n\n"],
  parse(input) {
    let size = 0;
    readInstalled(latin1(input), (name, path, checksum) => {
      size += name.length + path.length + (checksum === undefined ? 0 : sizeOf(parseChecksum(checksum)));
    });
    return size;
  },
};

export const rpm: FuzzTarget = {
  name: "rpm",
  parses: "headers of rpm's database",
  weight: 10,
  parse: (input) => sizeOf(parseRpmHeader(input)),
};
