// Tests of data that lie beside the repository and not in it. Where they are absent these tests are skipped by a name that
// says so, which is the one reason for which a test may be skipped in CI (build/test.ts).

export const ABSENT = "(its data are not here)";
