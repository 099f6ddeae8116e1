import { expect, test } from "bun:test";
import { Containers } from "../../src/examiner/containers.ts";

const SECOND = 1e9;

function rig() {
  const asked: string[] = [];
  const clock = { now: 0, room: true };
  const changes: number[] = [];
  const containers = new Containers(
    (id) => {
      if (clock.room) asked.push(id);
      return clock.room;
    },
    () => changes.push(clock.now),
    () => clock.now,
  );
  return { containers, asked, clock, changes };
}
const id = "a".repeat(64);

test("a container is asked for once, and its image is known after the answer", () => {
  const { containers, asked } = rig();
  for (let i = 0; i < 5; i++) expect(containers.imageOf(id)).toBeUndefined();
  expect(asked).toEqual([id]);
  containers.take(id, "nginx", null);
  expect(containers.imageOf(id)).toBe("nginx");
  containers.take(id, undefined, null);
  expect(containers.imageOf(id)).toBe("nginx");
  expect(asked).toEqual([id]);
});

test("a missing answer times out, and a late answer is still used", () => {
  const { containers, clock } = rig();
  containers.imageOf(id);
  clock.now = 10 * SECOND;
  expect(containers.imageOf(id)).toBeNull();
  containers.take(id, "nginx", null);
  expect(containers.imageOf(id)).toBe("nginx");
});

test("a late answer counts as a change, and so does a timeout", () => {
  const { containers, clock, changes } = rig();
  containers.imageOf(id);
  containers.imageOf(id);
  expect(changes).toEqual([]);
  clock.now = 10 * SECOND;
  containers.imageOf(id);
  containers.imageOf(id);
  clock.now = 11 * SECOND;
  containers.take(id, "nginx", null);
  containers.take(id, "nginx", null);
  expect(changes).toEqual([10 * SECOND, 11 * SECOND]);
});

test("an unknown image is asked for twice more, after a delay", () => {
  const { containers, asked, clock } = rig();
  containers.imageOf(id);
  for (let i = 0; i < 10; i++) {
    containers.take(id, undefined, null);
    clock.now += 40 * SECOND;
    expect(containers.imageOf(id)).toBeNull();
  }
  expect(asked).toHaveLength(3);
});

test("a question that found a full socket or was lost with an examiner is asked again", () => {
  const { containers, asked, clock } = rig();
  clock.room = false;
  containers.imageOf(id);
  expect(asked).toEqual([]);
  clock.room = true;
  containers.imageOf(id);
  containers.askAgain();
  expect(asked).toEqual([id, id]);
});

test("an unsolicited answer is ignored, and names of lxc containers are not asked for", () => {
  const { containers, asked } = rig();
  containers.take(id, "nginx", null);
  expect(containers.imageOf(id)).toBeUndefined();
  expect(containers.imageOf("web1")).toBeNull();
  expect(asked).toEqual([id]);
});

test("the cache does not grow to ten thousand containers", () => {
  const { containers, asked } = rig();
  for (let i = 0; i < 10_000; i++) containers.imageOf(i.toString(16).padStart(64, "0"));
  containers.imageOf("0".repeat(64));
  expect(asked).toHaveLength(10_001);
});

test("a pod is known with the image, and stays known", () => {
  const { containers, changes } = rig();
  const pod = { name: "shop-1", namespace: "prod", container: "web" };
  expect([containers.imageOf(id), containers.podOf(id)]).toEqual([undefined, undefined]);
  containers.take(id, "nginx", pod);
  expect([containers.imageOf(id), containers.podOf(id)]).toEqual(["nginx", pod]);
  containers.take(id, "nginx", undefined);
  containers.take(id, "nginx", null);
  expect(containers.podOf(id)).toBe(pod);
  expect(changes).toHaveLength(1);
});

test("a pod that was not known with the image is asked for again, because the kubelet writes later", () => {
  const { containers, asked, clock } = rig();
  const pod = { name: "shop-1", namespace: "prod" };
  containers.imageOf(id);
  containers.take(id, "nginx", undefined);
  containers.imageOf(id);
  expect(asked).toHaveLength(1);
  clock.now = 40 * SECOND;
  expect(containers.imageOf(id)).toBe("nginx");
  expect(asked).toHaveLength(2);
  containers.take(id, "nginx", pod);
  expect(containers.podOf(id)).toBe(pod);
});
