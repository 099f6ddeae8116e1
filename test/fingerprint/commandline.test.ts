import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createIdentifier, identify } from "../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { expectLinear } from "../cost.ts";

/** What a command line comes to: a path, `inline`, `name NAME`, or `itself`. All of them are started in /srv. */
type Row = readonly [executable: string, commandLine: string, expected: string];

const rows: readonly Row[] = [
  // The sh family.
  ["/usr/bin/dash", "sh /etc/init.d/ssh start", "/etc/init.d/ssh"],
  ["/usr/bin/dash", "sh deploy.sh", "/srv/deploy.sh"],
  ["/usr/bin/dash", "sh ./deploy.sh --now -c", "/srv/deploy.sh"],
  ["/usr/bin/dash", "sh ../opt/./run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh -e /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh -eu -o pipefail /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh -euo pipefail /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh +x /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh +o noglob /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh -- /opt/run.sh -c", "/opt/run.sh"],
  ["/usr/bin/dash", "sh - /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/dash", "sh -c ls", "inline"],
  ["/usr/bin/dash", "sh -xec ls /opt/run.sh", "inline"],
  ["/usr/bin/dash", "sh -c -e ls", "inline"],
  ["/usr/bin/dash", "sh", "inline"],
  ["/usr/bin/dash", "sh -s", "inline"],
  ["/usr/bin/dash", "sh -s -- --yes", "inline"],
  ["/usr/bin/dash", "sh -x", "inline"],
  ["/usr/bin/dash", "sh /dev/stdin", "inline"],
  ["/usr/bin/bash", "bash /dev/fd/63", "inline"],
  ["/usr/bin/bash", "bash /proc/self/fd/11", "inline"],
  ["/usr/bin/bash", "-bash", "inline"],
  ["/usr/bin/bash", "bash -l", "inline"],
  ["/usr/bin/bash", "bash -lc env", "inline"],
  ["/usr/bin/bash", "bash --login -c env", "inline"],
  ["/usr/bin/bash", "bash --rcfile /etc/rc -i", "inline"],
  ["/usr/bin/bash", "bash --norc --noprofile /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/bash", "bash --rcfile /etc/rc /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/bash", "bash --init-file /etc/rc /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/bash", "bash -O extglob /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/bash", "bash -x -v /opt/run.sh arg", "/opt/run.sh"],
  ["/usr/bin/bash", "bash --posix run", "/srv/run"],
  ["/usr/bin/bash", "bash --version", "itself"],
  ["/bin/ksh93", "ksh /opt/run.ksh", "/opt/run.ksh"],
  ["/usr/bin/mksh", "mksh -c id", "inline"],
  ["/usr/bin/zsh", "zsh -o extendedglob /opt/run.zsh", "/opt/run.zsh"],
  ["/usr/bin/zsh-5.9", "zsh -f /opt/run.zsh", "/opt/run.zsh"],
  ["/usr/bin/zsh", "zsh --emulate sh /opt/run.zsh", "/opt/run.zsh"],
  ["/usr/bin/fish", "fish /opt/run.fish", "/opt/run.fish"],
  ["/usr/bin/fish", "fish --command=id", "inline"],
  ["/usr/bin/fish", "fish -C setup /opt/run.fish", "/opt/run.fish"],
  ["/usr/bin/tcsh", "tcsh -f /opt/run.csh", "/opt/run.csh"],
  ["/usr/bin/tcsh", "csh -c id", "inline"],
  // Python.
  ["/usr/bin/python3.11", "python3 /opt/app.py", "/opt/app.py"],
  ["/usr/bin/python3.11", "python3 -u app.py", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 -Iu -B app.py", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 -W ignore -X dev app.py -c", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 -Wignore -Xdev app.py", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 -uW ignore app.py", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 --check-hash-based-pycs always app.py", "/srv/app.py"],
  ["/usr/bin/python3.11", "python3 -c print(1)", "inline"],
  ["/usr/bin/python3.11", "python3 -Ic import_os", "inline"],
  ["/usr/bin/python3.11", "python3 -cprint(1)", "inline"],
  ["/usr/bin/python3.11", "python3 -", "inline"],
  ["/usr/bin/python3.11", "python3 - --flag", "inline"],
  ["/usr/bin/python3.11", "python3", "inline"],
  ["/usr/bin/python3.11", "python3 -i", "inline"],
  ["/usr/bin/python3.11", "python3 -V", "itself"],
  ["/usr/bin/python3.11", "python3 -m http.server 8000", "name http.server"],
  ["/usr/bin/python3.11", "python3 -um gunicorn app:app", "name gunicorn"],
  ["/usr/bin/python3.11", "python3 -mvenv /opt/env", "name venv"],
  ["/usr/bin/python3.11", "/opt/env/bin/python /opt/env/bin/gunicorn app:app", "/opt/env/bin/gunicorn"],
  ["/home/u/.pyenv/versions/3.12.1/bin/python3.12", "python app.py", "/srv/app.py"],
  ["/opt/pypy/bin/pypy3.10", "pypy3 app.py", "/srv/app.py"],
  ["/usr/local/bin/python2.7", "python2 /opt/old.py", "/opt/old.py"],
  ["/usr/bin/python3.11-dbg", "python3-dbg app.py", "/srv/app.py"],
  [
    "/nix/store/00000000000000000000000000000000-python3-3.11.8/bin/python3.11",
    "python app.py",
    "/srv/app.py",
  ],
  // Perl.
  ["/usr/bin/perl", "perl /usr/sbin/munin-node", "/usr/sbin/munin-node"],
  ["/usr/bin/perl", "perl -w -T script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -I lib -Ilib2 -MJSON -mFoo=bar script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -CSD -Mstrict script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -e print", "inline"],
  ["/usr/bin/perl", "perl -pe s/a/b/ file", "inline"],
  ["/usr/bin/perl", "perl -lane print file", "inline"],
  ["/usr/bin/perl", "perl -0777ne print file", "inline"],
  ["/usr/bin/perl", "perl -l012 -0777 script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -i.bak -pe s/a/b/ file", "inline"],
  ["/usr/bin/perl", "perl -i.e script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -F: -E say file", "inline"],
  ["/usr/bin/perl", "perl -x/tmp script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -S prove", "name prove"],
  ["/usr/bin/perl", "perl", "inline"],
  ["/usr/bin/perl5.36.0", "perl script.pl", "/srv/script.pl"],
  ["/usr/bin/perl", "perl -v", "itself"],
  ["/usr/bin/perl", "perl -- -odd.pl", "/srv/-odd.pl"],
  // Ruby.
  ["/usr/bin/ruby3.1", "ruby /opt/app.rb", "/opt/app.rb"],
  ["/usr/bin/ruby3.1", "ruby -w -I lib -r set app.rb", "/srv/app.rb"],
  ["/usr/bin/ruby3.1", "ruby -rjson -C /tmp app.rb", "/srv/app.rb"],
  ["/usr/bin/ruby3.1", "ruby --encoding utf-8 app.rb", "/srv/app.rb"],
  ["/usr/bin/ruby3.1", "ruby --disable=gems app.rb", "/srv/app.rb"],
  ["/usr/bin/ruby3.1", "ruby -W0 -ne puts file", "inline"],
  ["/usr/bin/ruby3.1", "ruby -e puts", "inline"],
  ["/usr/bin/ruby3.1", "ruby", "inline"],
  ["/usr/bin/ruby3.1", "ruby --version", "itself"],
  ["/opt/rubies/bin/ruby", "ruby -S rake", "name rake"],
  // Node, Deno, Bun.
  ["/usr/bin/node", "node server.js", "/srv/server.js"],
  ["/usr/bin/node", "node --max-old-space-size=4096 /opt/app/index.js", "/opt/app/index.js"],
  ["/usr/bin/node", "node -r dotenv/config server.js", "/srv/server.js"],
  ["/usr/bin/node", "node --require ./x.js --import tsx --env-file .env server.js", "/srv/server.js"],
  ["/usr/bin/node", "node --inspect=0.0.0.0:9229 server.js", "/srv/server.js"],
  ["/usr/bin/node", "node --loader ts-node/esm -C dev server.ts", "/srv/server.ts"],
  ["/usr/bin/node", "node inspect server.js", "/srv/server.js"],
  ["/usr/bin/node", "node -e 1", "inline"],
  ["/usr/bin/node", "node -pe 1", "inline"],
  ["/usr/bin/node", "node --eval=1", "inline"],
  ["/usr/bin/node", "node -p process.version", "inline"],
  ["/usr/bin/node", "node -", "inline"],
  ["/usr/bin/node", "node", "inline"],
  ["/usr/bin/node", "node --version", "itself"],
  ["/usr/bin/node", "node --test", "itself"],
  ["/usr/bin/nodejs", "nodejs -- app.js", "/srv/app.js"],
  ["/home/u/.nvm/versions/node/v20.1.0/bin/node", "node app.js", "/srv/app.js"],
  ["/usr/bin/deno", "deno run --allow-net main.ts", "/srv/main.ts"],
  ["/usr/bin/deno", "deno run -A --config deno.json main.ts", "/srv/main.ts"],
  ["/usr/bin/deno", "deno serve --port 80 main.ts", "/srv/main.ts"],
  ["/usr/bin/deno", "deno eval 1", "inline"],
  ["/usr/bin/deno", "deno task start", "itself"],
  ["/usr/bin/deno", "deno run https://deno.land/std/http/file_server.ts", "name file_server.ts"],
  ["/usr/local/bin/bun", "bun run ./index.ts", "/srv/index.ts"],
  ["/usr/local/bin/bun", "bun index.ts", "/srv/index.ts"],
  ["/usr/local/bin/bun", "bun --cwd /opt index.ts", "/srv/index.ts"],
  ["/usr/local/bin/bun", "bun run dev", "itself"],
  ["/usr/local/bin/bun", "bun install", "itself"],
  ["/usr/local/bin/bun", "bun -e 1", "inline"],
  // PHP.
  ["/usr/bin/php8.2", "php artisan queue:work", "/srv/artisan"],
  ["/usr/bin/php8.2", "php -d memory_limit=-1 -dopcache.enable=0 /opt/bin/console", "/opt/bin/console"],
  ["/usr/bin/php8.2", "php -f /opt/cron.php", "/opt/cron.php"],
  ["/usr/bin/php8.2", "php -q -c /etc/php.ini cron.php", "/srv/cron.php"],
  ["/usr/bin/php8.2", "php --define a=b cron.php", "/srv/cron.php"],
  ["/usr/bin/php8.2", "php -r phpinfo();", "inline"],
  ["/usr/bin/php8.2", "php -a", "inline"],
  ["/usr/bin/php8.2", "php", "inline"],
  ["/usr/bin/php8.2", "php -S 0.0.0.0:80 -t public", "itself"],
  ["/usr/bin/php8.2", "php -S 0.0.0.0:80 -t public router.php", "/srv/router.php"],
  ["/usr/bin/php8.2", "php --ini", "itself"],
  ["/usr/bin/php8.2", "php -- cron.php", "/srv/cron.php"],
  // Lua, Tcl, expect, awk, R.
  ["/usr/bin/lua5.4", "lua /opt/x.lua", "/opt/x.lua"],
  ["/usr/bin/lua5.4", "lua -l lib -W x.lua", "/srv/x.lua"],
  ["/usr/bin/lua5.4", "lua -e print(1)", "inline"],
  ["/usr/bin/luajit-2.1", "luajit -joff x.lua", "/srv/x.lua"],
  ["/usr/bin/lua5.4", "lua -", "inline"],
  ["/usr/bin/tclsh8.6", "tclsh /opt/x.tcl", "/opt/x.tcl"],
  ["/usr/bin/tclsh8.6", "tclsh -encoding utf-8 x.tcl", "/srv/x.tcl"],
  ["/usr/bin/tclsh8.6", "tclsh", "inline"],
  ["/usr/bin/expect", "expect -f /opt/login.exp", "/opt/login.exp"],
  ["/usr/bin/expect", "expect -c spawn", "inline"],
  ["/usr/bin/expect", "expect -d login.exp", "/srv/login.exp"],
  ["/usr/bin/mawk", "awk -f /opt/x.awk file", "/opt/x.awk"],
  ["/usr/bin/mawk", "awk -F : -v a=b -f x.awk file", "/srv/x.awk"],
  ["/usr/bin/mawk", "awk -F: {print} /etc/passwd", "inline"],
  ["/usr/bin/gawk", "gawk --file=x.awk file", "/srv/x.awk"],
  ["/usr/bin/gawk", "gawk -E /opt/x.awk file", "/opt/x.awk"],
  ["/usr/bin/gawk", "gawk --source BEGIN{} -f x.awk", "inline"],
  ["/usr/bin/gawk", "gawk --version", "itself"],
  ["/usr/lib/R/bin/exec/R", "R --no-echo --no-restore --file=analysis.R", "/srv/analysis.R"],
  ["/usr/lib/R/bin/exec/R", "R -f analysis.R --args 1", "/srv/analysis.R"],
  ["/usr/bin/Rscript", "Rscript --vanilla analysis.R", "/srv/analysis.R"],
  ["/usr/bin/Rscript", "Rscript -e 1", "inline"],
  // Java, .NET, PowerShell, others.
  ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java -Xmx512m -jar /opt/app.jar", "/opt/app.jar"],
  [
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "java -Dx=y -cp lib/a.jar:lib/b.jar org.apache.catalina.startup.Bootstrap start",
    "name org.apache.catalina.startup.Bootstrap",
  ],
  [
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "java -javaagent:/opt/agent.jar -jar app.jar",
    "/srv/app.jar",
  ],
  [
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "java --add-opens java.base/java.lang=ALL-UNNAMED -jar app.jar",
    "/srv/app.jar",
  ],
  [
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "java --module-path mods -m com.example/com.example.Main",
    "name com.example/com.example.Main",
  ],
  ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java Hello.java", "/srv/Hello.java"],
  ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java -version", "itself"],
  ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java @argfile", "itself"],
  ["/usr/share/dotnet/dotnet", "dotnet /app/Web.dll --urls x", "/app/Web.dll"],
  [
    "/usr/share/dotnet/dotnet",
    "dotnet exec --runtimeconfig a.json --depsfile b.json Web.dll",
    "/srv/Web.dll",
  ],
  ["/usr/share/dotnet/dotnet", "dotnet build", "itself"],
  ["/usr/bin/mono-sgen", "mono --debug app.exe", "/srv/app.exe"],
  ["/opt/microsoft/powershell/7/pwsh", "pwsh -NoProfile -File /opt/x.ps1", "/opt/x.ps1"],
  ["/opt/microsoft/powershell/7/pwsh", "pwsh -ExecutionPolicy Bypass /opt/x.ps1", "/opt/x.ps1"],
  ["/opt/microsoft/powershell/7/pwsh", "pwsh -EncodedCommand ZQA=", "inline"],
  ["/usr/bin/guile-3.0", "guile -s /opt/x.scm", "/opt/x.scm"],
  ["/usr/bin/guile", "guile -c 1", "inline"],
  ["/usr/bin/julia", "julia --threads 4 x.jl", "/srv/x.jl"],
  // Wrappers and the loader.
  ["/usr/bin/env", "env python3 /opt/app.py", "/opt/app.py"],
  ["/usr/bin/env", "env -i A=b LANG=C bash -x run.sh", "/srv/run.sh"],
  ["/usr/bin/env", "env -u HOME --chdir=/x perl x.pl", "/srv/x.pl"],
  ["/usr/bin/env", "env -S python3 -u app.py", "/srv/app.py"],
  ["/usr/bin/env", "env --split-string=python3 app.py", "/srv/app.py"],
  ["/usr/bin/env", "env sh -c id", "inline"],
  ["/usr/bin/env", "env A=b /opt/server --port 1", "/opt/server"],
  ["/usr/bin/env", "env ls", "itself"],
  ["/usr/bin/env", "env", "itself"],
  ["/usr/bin/nice", "nice -n 10 /opt/backup", "/opt/backup"],
  ["/usr/bin/nice", "nice -10 sh backup.sh", "/srv/backup.sh"],
  ["/usr/bin/nice", "nice --adjustment=5 ionice -c 3 timeout 5 python3 x.py", "/srv/x.py"],
  ["/usr/bin/ionice", "ionice -c2 -n7 sh backup.sh", "/srv/backup.sh"],
  ["/usr/bin/nohup", "nohup ./server", "/srv/server"],
  ["/usr/bin/nohup", "nohup java -jar app.jar", "/srv/app.jar"],
  ["/usr/bin/timeout", "timeout -s KILL -k 5 60 /opt/job", "/opt/job"],
  ["/usr/bin/timeout", "timeout --foreground 10s sh -c x", "inline"],
  ["/usr/bin/timeout", "timeout 10 sleep 1", "itself"],
  ["/usr/bin/stdbuf", "stdbuf -oL -e 0 python3 x.py", "/srv/x.py"],
  ["/usr/bin/setsid", "setsid -f /opt/daemon", "/opt/daemon"],
  ["/usr/bin/taskset", "taskset -c 0-3 /opt/daemon", "/opt/daemon"],
  ["/usr/bin/chrt", "chrt -f 10 /opt/daemon", "/opt/daemon"],
  ["/usr/bin/flock", "flock -n /run/x.lock /opt/job.sh", "/opt/job.sh"],
  ["/usr/bin/flock", "flock -w 10 /run/x.lock -c x", "inline"],
  ["/usr/bin/setarch", "setarch x86_64 -R /opt/job", "/opt/job"],
  [
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/lib64/ld-linux-x86-64.so.2 /tmp/payload",
    "/tmp/payload",
  ],
  ["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld.so ./payload", "/srv/payload"],
  // By an option the loader runs more than the program: it is the program itself.
  ["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld.so --preload y.so /usr/bin/gzip", "itself"],
  ["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld.so --library-path /x /usr/bin/gzip", "itself"],
  [
    "/usr/bin/env",
    "env /lib64/ld-linux-x86-64.so.2 --audit y.so /usr/bin/gzip",
    "/lib64/ld-linux-x86-64.so.2",
  ],
  ["/usr/lib/ld-musl-x86_64.so.1", "ld-musl-x86_64.so.1 /usr/bin/python3 x.py", "/srv/x.py"],
  // Many programs in one.
  ["/usr/bin/busybox", "busybox wget http://x", "name wget"],
  ["/usr/bin/busybox", "wget http://x", "name wget"],
  ["/usr/bin/busybox", "busybox sh /opt/run.sh", "/opt/run.sh"],
  ["/usr/bin/busybox", "sh -c id", "inline"],
  ["/usr/bin/busybox", "-sh", "inline"],
  ["/usr/bin/busybox", "/bin/busybox env python3 x.py", "/srv/x.py"],
  ["/usr/bin/busybox", "busybox", "itself"],
  ["/usr/bin/toybox", "toybox nc -l", "name nc"],
  ["/usr/bin/coreutils", "coreutils --coreutils-prog=b2sum x", "name b2sum"],
  ["/usr/bin/kmod", "modprobe -q x", "name modprobe"],
  // Neither.
  ["/usr/sbin/nginx", "nginx: master process /usr/sbin/nginx -g daemon", "itself"],
  ["/usr/bin/ls", "ls x.sh", "itself"],
  ["/usr/sbin/php-fpm8.2", "php-fpm: master process", "itself"],
  ["/opt/bashful", "bash x.sh", "itself"],
  // Whoever names a file python3 or env where anybody may write does not choose its label by arguments.
  ["/tmp/python3", "python3 /usr/bin/apt-listchanges", "itself"],
  ["/dev/shm/sh", "sh /etc/init.d/ssh", "itself"],
  ["memfd:python3", "python3 /usr/bin/apt-listchanges", "itself"],
  ["/home/u/env", "env /usr/sbin/nginx", "itself"],
  ["/var/www/timeout", "timeout 1 /usr/sbin/nginx", "itself"],
  ["/usr/bin/env", "env /tmp/sh /etc/init.d/ssh", "/tmp/sh"],
];

function facts(
  executable: string,
  args: readonly string[] | undefined,
  rest: Partial<RunnableFacts> = {},
): RunnableFacts {
  return {
    executable,
    executableMemfd: false,
    filename: undefined,
    script: undefined,
    args,
    cwd: "/srv",
    ...rest,
  };
}

describe("a command line", () => {
  test.each(rows)("%s: %s is %s", (executable, commandLine, expected) => {
    const runnable = identify(facts(executable, commandLine.split(" ")));
    if (expected === "itself" || expected === "inline") {
      expect(runnable.path).toBe(executable);
      expect(runnable.script).toBeUndefined();
      expect(runnable.inline).toBe(expected === "inline");
    } else {
      expect(
        expected.startsWith("name ") ? `name ${runnable.name}`.replace("\\x2f", "/") : runnable.path,
      ).toBe(expected);
      expect(runnable.inline).toBe(false);
    }
  });

  test("gives way to what the kernel says of a script", () => {
    const said = identify(facts("/usr/bin/python3.11", ["python3", "/lie.py"], { script: "/opt/real" }));
    expect(said.path).toBe("/opt/real");
    expect(said.inline).toBe(false);
    expect(identify(facts("/usr/bin/env", ["env", "python3", "/opt/x"], { script: "./x" })).path).toBe(
      "/srv/x",
    );
    expect(identify(facts("/usr/bin/dash", ["sh", "-c", "x"], { script: "/dev/fd/5" })).inline).toBe(true);
  });

  test("that could not be read leaves the executable", () => {
    expect(identify(facts("/usr/bin/bash", undefined)).path).toBe("/usr/bin/bash");
    expect(identify(facts("/usr/bin/bash", undefined)).inline).toBe(false);
  });

  test("with a script relative to an unknown directory gives a name, and no path", () => {
    const runnable = identify(facts("/usr/bin/dash", ["sh", "jobs/run.sh"], { cwd: undefined }));
    expect(runnable.name).toBe("run.sh");
    expect(runnable.path).toBeUndefined();
    expect(runnable.label).toBe("run.sh");
  });

  test("of a multi-call binary counts less than the path the kernel was given; if both differ neither counts", () => {
    const busybox = (filename: string, ...args: readonly string[]) =>
      identify(facts("/usr/bin/busybox", args, { filename })).name;
    expect(busybox("/usr/bin/wget", "wget")).toBe("wget");
    expect(busybox("/bin/busybox", "nc", "-l")).toBe("nc");
    expect(busybox("/proc/self/exe", "nc", "-l")).toBe("nc");
    expect(busybox("/usr/bin/ls", "sh", "-c", "x")).toBe("busybox");
  });

  const filled = (piece: string, size: number): string => piece.repeat(Math.ceil(size / piece.length));
  /** Arguments of `size` characters. */
  const hostile: readonly (readonly [string, (size: number) => readonly string[]])[] = [
    ["/usr/bin/python3.11", (size) => ["python3", filled("a1", size)]],
    ["/usr/bin/python3.11", (size) => ["python3", "-m", filled("a1", size)]],
    ["/usr/bin/python3.11", (size) => ["python3", `/${filled("a1b/", size)}x`]],
    ["/usr/bin/python3.11", (size) => ["python3", `/${filled("../", size)}x`]],
    ["/usr/bin/python3.11", (size) => ["python3", `/tmp/${filled("deadbeef", size)}`]],
    ["/usr/bin/python3.11", (size) => ["python3", `/tmp/${filled("0", size)}.sh`]],
    ["/usr/bin/python3.11", (size) => ["python3", `/tmp/${filled("a-1.2", size)}`]],
    ["/usr/bin/env", (size) => ["env", "-S", filled("-S ", size)]],
    ["/usr/bin/env", (size) => ["env", ...filled("env ", size).trim().split(" ")]],
    ["/usr/bin/perl", (size) => ["perl", `-${filled("0", size)}e`]],
    ["/usr/bin/bash", (size) => ["bash", ...filled("-o ", size).trim().split(" ")]],
  ];
  test.each(hostile)("made to take time takes none: %s, %p", (executable, args) => {
    // The warden reads 4,096 bytes of arguments; more than an exec may have is looked at all the same.
    expect(identify(facts(executable, args(120_000))).key.length).toBeLessThan(10_000);
    // A new identifier has nothing kept of the run before.
    expectLinear((size) => createIdentifier()(facts(executable, args(size))), 8_000);
  });

  test.each([
    ["/usr/bin/python3", ["python3", `-W${"x".repeat(4_000)}`, "/usr/lib/backup"], "python3"],
    ["/usr/bin/python3", ["python3", `-W${"x".repeat(4_000)}`], "python3"],
    ["/usr/bin/java", ["java", "org.example.Ma"], "java"],
    ["/usr/lib64/ld-linux-x86-64.so.2", ["ld.so", "/usr/sbin/ngi"], "ld-linux-x86-64.so.2"],
    ["/usr/bin/dash", ["sh", "/usr/bin/backup.sh", "x".repeat(4_000)], "backup.sh"],
  ])("of %s that was cut says only what is whole", (executable, args, name) => {
    const runnable = identify(facts(executable, args, { argsTruncated: true }));
    expect(runnable.name).toBe(name);
    expect(runnable.inline).toBe(false);
  });

  test("that was cut inside of its code has code all the same", () => {
    const args = ["sh", "-c", "x".repeat(4_000)];
    expect(identify(facts("/usr/bin/dash", args, { argsTruncated: true })).inline).toBe(true);
  });

  test("never makes it throw, and a runnable always has a name", () => {
    const executables = [...new Set(rows.map(([executable]) => executable))];
    const words = [...new Set(rows.flatMap(([, line]) => line.split(" ")))];
    fc.assert(
      fc.property(
        fc.constantFrom(...executables),
        fc.array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 12 }),
        fc.option(fc.string(), { nil: undefined }),
        (executable, args, filename) => {
          const runnable = identify(facts(executable, args, { filename }));
          expect(runnable.name).not.toBe("");
          expect(runnable.name).not.toContain("/");
          expect(runnable.inline && runnable.script !== undefined).toBe(false);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
