import { expect, test } from "bun:test";
import fc from "fast-check";
import { SeriesMap } from "../../src/report/series-map.ts";

test("it answers as a map by instrument and all values does", () => {
  const instruments = fc.constantFrom("events" as const, "treeProcesses" as const, "resyncs" as const);
  const texts = fc.array(fc.constantFrom("", "a", "/a", "overflow"), { maxLength: 3 });
  const steps = fc.array(fc.tuple(fc.constantFrom("set", "delete"), instruments, texts));
  fc.assert(
    fc.property(steps, (list) => {
      const map = new SeriesMap<number>();
      const model = new Map<string, number>();
      for (const [i, [what, instrument, values]] of list.entries()) {
        // One instrument has one number of attributes.
        const own = instrument === "resyncs" ? [] : values.slice(0, instrument === "events" ? 1 : 3);
        if (instrument !== "resyncs" && own.length !== (instrument === "events" ? 1 : 3)) continue;
        const key = JSON.stringify([instrument, own]);
        if (what === "set") {
          map.set(instrument, own, i);
          model.set(key, i);
        } else expect(map.delete(instrument, own)).toBe(model.delete(key));
        expect(map.get(instrument, own)).toBe(model.get(key));
        expect(map.size).toBe(model.size);
      }
      expect([...map.values()].sort()).toEqual([...model.values()].sort());
    }),
  );
});
