import { expect, test } from "bun:test";
import { ContainerImages } from "../../src/examiner/container-images.ts";

const SECOND = 1e9;

function rig() {
  const asked: string[] = [];
  const clock = { now: 0, room: true };
  const changes: number[] = [];
  const images = new ContainerImages(
    (id) => {
      if (clock.room) asked.push(id);
      return clock.room;
    },
    () => changes.push(clock.now),
    () => clock.now,
  );
  return { images, asked, clock, changes };
}
const id = "a".repeat(64);

test("a container is asked for once, and its image is known after the answer", () => {
  const { images, asked } = rig();
  for (let i = 0; i < 5; i++) expect(images.imageOf(id)).toBeUndefined();
  expect(asked).toEqual([id]);
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBe("nginx");
  images.take(id, undefined);
  expect(images.imageOf(id)).toBe("nginx");
  expect(asked).toEqual([id]);
});

test("a missing answer times out, and a late answer is still used", () => {
  const { images, clock } = rig();
  images.imageOf(id);
  clock.now = 10 * SECOND;
  expect(images.imageOf(id)).toBeNull();
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBe("nginx");
});

test("a late answer counts as a change, and so does a timeout", () => {
  const { images, clock, changes } = rig();
  images.imageOf(id);
  images.imageOf(id);
  expect(changes).toEqual([]);
  clock.now = 10 * SECOND;
  images.imageOf(id);
  images.imageOf(id);
  clock.now = 11 * SECOND;
  images.take(id, "nginx");
  images.take(id, "nginx");
  expect(changes).toEqual([10 * SECOND, 11 * SECOND]);
});

test("an unknown image is asked for twice more, after a delay", () => {
  const { images, asked, clock } = rig();
  images.imageOf(id);
  for (let i = 0; i < 10; i++) {
    images.take(id, undefined);
    clock.now += 40 * SECOND;
    expect(images.imageOf(id)).toBeNull();
  }
  expect(asked).toHaveLength(3);
});

test("a question that found a full socket or was lost with an examiner is asked again", () => {
  const { images, asked, clock } = rig();
  clock.room = false;
  images.imageOf(id);
  expect(asked).toEqual([]);
  clock.room = true;
  images.imageOf(id);
  images.askAgain();
  expect(asked).toEqual([id, id]);
});

test("an unsolicited answer is ignored, and names of lxc containers are not asked for", () => {
  const { images, asked } = rig();
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBeUndefined();
  expect(images.imageOf("web1")).toBeNull();
  expect(asked).toEqual([id]);
});

test("the cache does not grow to ten thousand containers", () => {
  const { images, asked } = rig();
  for (let i = 0; i < 10_000; i++) images.imageOf(i.toString(16).padStart(64, "0"));
  images.imageOf("0".repeat(64));
  expect(asked).toHaveLength(10_001);
});
