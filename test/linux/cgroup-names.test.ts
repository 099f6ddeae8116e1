import { expect, test } from "bun:test";
import { containerOf, unitOf } from "../../src/linux/cgroup-names.ts";

const id = "0123456789abcdef".repeat(4);

test.each([
  ["/", null],
  ["/system.slice/nginx.service", null],
  [`/docker/${id}`, id],
  [`/system.slice/docker-${id}.scope`, id],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-${id}.scope`, id],
  [`/kubepods/besteffort/pod1/${id}`, id],
  [`/machine.slice/libpod-${id}.scope/container`, id],
  [`/machine.slice/libpod-conmon-${id}.scope`, null],
  ["/lxc.payload.web/init.scope", "web"],
  ["/machine.slice/machine-build.scope", "build"],
  [`/user.slice/${id.slice(1)}`, null],
  [`/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${id}.scope`, null],
  [`/user.slice/user-1000.slice/user@1000.service/user.slice/lxc.payload.web`, null],
  [`/system.slice/docker-${id}.scope/user.slice/user-0.slice/user@0.service/init.scope`, id],
  [`/system.slice/runner.service/docker-${id}.scope`, null],
  [`/system.slice/runner.service/job/${id}`, null],
  ["/system.slice/runner.service/lxc.payload.web", null],
])("the container of %s is %s", (path, container) => {
  expect(containerOf(path)).toBe(container);
});

test.each([
  ["/", null],
  ["/system.slice/nginx.service", "nginx.service"],
  ["/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@.service"],
  ["/user.slice/user-0.slice/session-3.scope", "session.scope"],
  ["/system.slice/run-u12.service", "run.service"],
  [`/system.slice/docker-${id}.scope/system.slice/nginx.service`, "docker.scope"],
  [`/docker/${id}/system.slice/nginx.service`, null],
  ["/user.slice/user-1000.slice/user@1000.service/init.scope", "user@.service"],
  ["/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", "user@.service"],
  ["/system.slice/run-r3b1c9f0aa7d24.service", "run.service"],
  ["/system.slice/runner.service/nginx.service", "runner.service"],
  ["/system.slice/runner.service/session-3.scope", "runner.service"],
  [`/system.slice/runner.service/docker-${id}.scope`, "runner.service"],
])("the unit of %s is %s", (path, unit) => {
  expect(unitOf(path)).toBe(unit);
});

test("the names of a thousand cgroups are right at the first and at a repeated lookup", () => {
  const services = Array.from({ length: 1000 }, (_, i) => `service-${i}x.service`);
  for (const [i, service] of [...services, ...services.toReversed()].entries()) {
    const scope = `/system.slice/docker-${i.toString(16).padStart(64, "0")}.scope`;
    for (let again = 0; again < 2; again++) {
      expect([unitOf(`/system.slice/${service}`), containerOf(`/system.slice/${service}`)]).toEqual([
        service,
        null,
      ]);
      expect([unitOf(scope), containerOf(scope)]).toEqual(["docker.scope", scope.slice(21, 85)]);
    }
  }
});
