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

test("a container is asked for once, and its image known from the answer on", () => {
  const { images, asked } = rig();
  for (let i = 0; i < 5; i++) expect(images.imageOf(id)).toBeUndefined();
  expect(asked).toEqual([id]);
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBe("nginx");
  images.take(id, undefined);
  expect(images.imageOf(id)).toBe("nginx");
  expect(asked).toEqual([id]);
});

test("nobody waits for an examiner that does not answer, and a late answer counts", () => {
  const { images, clock } = rig();
  images.imageOf(id);
  clock.now = 10 * SECOND;
  expect(images.imageOf(id)).toBeNull();
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBe("nginx");
});

test("an answer that comes after the question was decided without it is a change, and so is giving up", () => {
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

test("what no runtime tells is asked for again twice, a while later", () => {
  const { images, asked, clock } = rig();
  images.imageOf(id);
  for (let i = 0; i < 10; i++) {
    images.take(id, undefined);
    clock.now += 40 * SECOND;
    expect(images.imageOf(id)).toBeNull();
  }
  expect(asked).toHaveLength(3);
});

test("a question for which there was no room, or that a dead examiner took with it, is asked again", () => {
  const { images, asked, clock } = rig();
  clock.room = false;
  images.imageOf(id);
  expect(asked).toEqual([]);
  clock.room = true;
  images.imageOf(id);
  images.askAgain();
  expect(asked).toEqual([id, id]);
});

test("an answer that nobody asked for says nothing, and the names of lxc are asked for nowhere", () => {
  const { images, asked } = rig();
  images.take(id, "nginx");
  expect(images.imageOf(id)).toBeUndefined();
  expect(images.imageOf("web1")).toBeNull();
  expect(asked).toEqual([id]);
});

test("ten thousand containers are not remembered", () => {
  const { images, asked } = rig();
  for (let i = 0; i < 10_000; i++) images.imageOf(i.toString(16).padStart(64, "0"));
  images.imageOf("0".repeat(64));
  expect(asked).toHaveLength(10_001);
});
