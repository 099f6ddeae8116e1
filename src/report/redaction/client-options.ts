// Table of programs that take secrets as arguments, and where. Options whose names denote a secret (`--password`) need
// no row.

/** Where a program takes secrets. Letters are one-letter options, words are written with their dashes. */
export interface ClientOptions {
  /** Options whose value is a secret. */
  readonly secret?: string;
  /** Options whose value is a user and, behind one of `separators`, a secret. */
  readonly user?: string;
  readonly separators?: string;
  /** Options without a value: another option may follow in the same word (`-xw SECRET`). */
  readonly flags?: string;
  /** Options whose value is `name=secret`, or a file if it has no `=`. */
  readonly assigned?: string;
  /** Longer options whose value is a secret, and those whose value is none although the name suggests it. */
  readonly secretWords?: readonly string[];
  readonly harmlessWords?: readonly string[];
  /** Longer options whose value says where the secret comes from: `pass:SECRET`, `file:PATH`, `env:NAME`. */
  readonly sourceWords?: readonly string[];
  /** Longer options whose value is `name=secret`. */
  readonly assignedWords?: readonly string[];
  /**
   * Which of the operands behind an operand, such as a subcommand, are secrets: 1 is the next, -1 the last. The empty
   * text is the program itself, and a name that ends with a dot stands for all operands that begin with it.
   */
  readonly operands?: Readonly<Record<string, readonly number[]>>;
  /** The last operand is a secret if one of the program's options has this letter. */
  readonly lastOperandWith?: string;
  /** An operand may be the name of a secret, whose value follows: `secret_access_key SECRET`. */
  readonly pairs?: boolean;
  /** Every operand of the form `name=value` has a secret. */
  readonly assignments?: boolean;
  /** An operand may be `user/secret@database`. */
  readonly slash?: boolean;
}

const mysql: ClientOptions = { secret: "p" };
const redis: ClientOptions = { secret: "a", operands: { auth: [1, -1], AUTH: [1, -1] }, pairs: true };
const ldap: ClientOptions = { secret: "w", flags: "AcCILMnNQrvVxZ" };
const samba: ClientOptions = { user: "U", separators: "%" };
const archive: ClientOptions = { secret: "p", flags: "h" };
const openssl: ClientOptions = {
  secretWords: ["-k", "-K", "-psk", "-srppass", "-hmac"],
  sourceWords: ["-pass", "-passin", "-passout", "-password"],
};
const pins: ClientOptions = { secretWords: ["--pin", "--so-pin", "--new-pin", "--puk", "--set-pin"] };

/** A row may be for a program or for its subcommand (`docker login`), wherever that stands behind the program. */
const rows: Readonly<Record<string, ClientOptions>> = {
  "mysql, mysqldump, mysqlcheck, mysqlimport, mysqlshow, mysqlslap, mysqlbinlog, mysqlpump, mysqlsh, mydumper, myloader, mariadb, mariadb-dump, mariadb-check, mariadb-import, mariadb-show, mariadb-binlog, mariabackup, xtrabackup":
    mysql,
  "mysqladmin, mariadb-admin": { ...mysql, operands: { password: [1] } },
  sshpass: { secret: "p" },
  "mongo, mongosh, mongodump, mongorestore, mongoimport, mongoexport, mongostat, mongotop": { secret: "p" },
  "7z, 7za, 7zz, 7zr, rar, unrar": archive,
  "redis-cli, valkey-cli, keydb-cli": redis,
  "ldapsearch, ldapadd, ldapmodify, ldapdelete, ldapcompare, ldapmodrdn, ldapwhoami, ldapexop, ldapvi": ldap,
  ldappasswd: { ...ldap, secret: "was" },
  "zip, unzip, zipcloak": { secret: "P", flags: "0123456789DFSTXdefgjlmnopqruvxyz" },
  "ipmitool, sqlcmd, bcp, tsql": { secret: "P" },
  "snmpget, snmpgetnext, snmpwalk, snmpbulkget, snmpbulkwalk, snmpset, snmptrap, snmpinform, snmptable, snmpdf, snmpstatus, snmptest, snmpusm, snmpdelta, snmpnetstat":
    { secret: "AXc" },
  curl: { user: "uUE", flags: "#0123469aBfgGiIjJklLnNOpqRsSvZ", assigned: "b", assignedWords: ["--cookie"] },
  "smbclient, smbget, smbcacls, smbtree, smbmap, rpcclient, net, wbinfo, winexe": samba,
  "samba-tool": samba,
  "samba-tool user": { ...samba, operands: { create: [2], add: [2] } },
  "http, https, xh, xhs": { user: "a" },
  ab: { user: "AP" },
  lftp: { user: "u", separators: "," },
  "docker login, podman login, nerdctl login, buildah login, skopeo login, helm login, oc login, cf login, az login, argocd login, ibmcloud login, regctl login, oras login, crane login, singularity login, apptainer login":
    { secret: "p" },
  "docker run, docker create, docker compose, podman run, podman create, podman compose, nerdctl run, docker exec, podman exec, nerdctl exec":
    {},
  "kubectl secret, oc secret": { assignedWords: ["--from-literal"] },
  "kubectl patch, oc patch, kubectl logs, oc logs": {},
  openssl,
  "openssl passwd": { ...openssl, operands: { "": [-1] } },
  htpasswd: { lastOperandWith: "b" },
  mkpasswd: { operands: { "": [-1] } },
  wpa_passphrase: { operands: { "": [2] } },
  "iwconfig, iw": { operands: { key: [1], enc: [1] } },
  "nmcli, wpa_cli, pppd": { pairs: true },
  rclone: { operands: { key: [1] }, pairs: true },
  "rclone obscure": { operands: { "": [1] } },
  "ssh-keygen": { secret: "NP" },
  "rabbitmqctl, rabbitmqadmin": { operands: { add_user: [2], change_password: [2], authenticate_user: [2] } },
  "mc host": { operands: { add: [3, 4] } },
  "mc, mcli": { operands: { set: [3, 4], add: [3] } },
  "vault, bao": { operands: { login: [1], unwrap: [1], unseal: [1], lookup: [1], revoke: [1], renew: [1] } },
  "vault put, vault patch, bao put, bao patch, fly secrets, flyctl secrets, doppler secrets, infisical secrets":
    { assignments: true },
  "gh secret": { secret: "b", secretWords: ["--body"] },
  "az secret, aws put-parameter": { secretWords: ["--value"] },
  aws: { harmlessWords: ["--secret-id"] },
  gcloud: { harmlessWords: ["--secret"], operands: { "activate-refresh-token": [2] } },
  az: { secret: "p" },
  "cargo login, snyk auth, ngrok authtoken, ngrok add-authtoken, hcloud token": { operands: { "": [1] } },
  doctl: { secret: "t" },
  influx: { secretWords: ["-t", "-p"] },
  etcd: { harmlessWords: ["--initial-cluster-token"] },
  pulumi: { harmlessWords: ["--secret"], operands: { set: [2] } },
  bw: { operands: { login: [2], unlock: [1] } },
  "poetry, composer": { operands: { "http-basic.": [2] }, pairs: true },
  "sqlplus, rman, expdp, impdp, exp, imp, sqlldr, sql": { slash: true },
  isql: { operands: { "": [3] } },
  gbak: { secretWords: ["-pas", "-pass"] },
  "swaks, sendemail, sendEmail": { secretWords: ["-ap", "-xp", "--auth-password"] },
  "pkcs11-tool, pkcs15-tool, pkcs15-init, p11tool, yubico-piv-tool, ykman": pins,
  oathtool: { operands: { "": [-1] } },
  "dig, nsupdate, knsupdate, kdig, host": { secret: "y" },
  swift: { secret: "K" },
  radtest: { operands: { "": [2, 5] } },
  radclient: { operands: { "": [-1] } },
  "virsh secret-set-value": { operands: { "": [2] } },
  "virsh set-user-password": { operands: { "": [3] } },
  "xfreerdp, xfreerdp3, wlfreerdp": { secretWords: ["/p", "/gp", "/pth"] },
};

const clients: ReadonlyMap<string, ClientOptions> = new Map(
  Object.entries(rows).flatMap(([names, options]) =>
    names.split(", ").map((name): readonly [string, ClientOptions] => [name, options]),
  ),
);

/** Programs and subcommands whose one-letter options carry no secrets: `-p` is a port, a path, a pid or a flag. */
const harmless: ReadonlySet<string> = new Set(
  (
    "mkdir rmdir cp mv install ln touch stat chmod chown chgrp tar cpio pax find tee tree less more man pr column diff patch split sort date ls df du " +
    "ssh scp sftp sshd ssh-keyscan ssh-copy-id autossh mosh dropbear rsync nc ncat netcat socat telnet ping ping6 mtr traceroute tracepath nmap wget iperf iperf3 tcpdump ip tc ss netstat iptables ip6tables nft ufw ethtool nslookup " +
    "ps pgrep pkill kill pidof pmap pstree pidstat iostat vmstat sar top htop lsof strace ltrace gdb perf bpftrace renice ionice nice chrt taskset prlimit nsenter unshare timeout time nohup setsid stdbuf watch xargs env sudo doas su runuser chroot setpriv " +
    "systemctl systemd-run systemd-analyze systemd-nspawn journalctl loginctl machinectl busctl udevadm modprobe mount umount swapon blkid lsblk parted sfdisk mkfs mkfs.ext4 mkfs.xfs mkfs.vfat fio dd " +
    "bash dash sh zsh ksh read test python python2 python3 perl ruby node php lua java go gcc g++ cc c++ clang ld make cmake ninja cargo rustc mvn gradle npm npx pip pip3 pytest " +
    "git git-upload-pack tig hg svn id getent grep egrep rg sed awk jq tmux screen dpkg dpkg-query dpkg-deb rpm apt apt-get dnf yum apk " +
    "nginx httpd apache2 php-fpm haproxy redis-server memcached postgres mysqld mongod slapd named dnsmasq cron crond rsyslogd gunicorn uwsgi uvicorn puma rails flask " +
    "auditctl psql pg_dump pg_dumpall pg_restore pg_ctl pg_isready pg_basebackup createdb dropdb createuser docker podman nerdctl docker-compose podman-compose ctr crictl runc crun skopeo buildah kubectl oc helm terraform ansible ansible-playbook vagrant virsh pv"
  ).split(" "),
);

/** Programs that take names of images, hosts or owners of the form `a:b`, which are no users with their passwords. */
export const takesPairsOfNames: ReadonlySet<string> = new Set(
  "chown chgrp install docker podman nerdctl docker-compose ctr crictl skopeo buildah crane helm kubectl oc scp rsync sftp mount zfs ip git tmux screen setpriv systemd-run chroot iptables adb".split(
    " ",
  ),
);

/** Programs that start another program, whose name and arguments follow theirs. */
export const launchers: ReadonlySet<string> = new Set(
  "sudo doas env nice ionice timeout time nohup setsid stdbuf chrt taskset prlimit setpriv nsenter unshare strace ltrace xargs su runuser chroot systemd-run watch exec command".split(
    " ",
  ),
);

/** Programs that run what their first operand names, whose own options follow: a script, a program in a container. */
export const interpreters: ReadonlySet<string> = new Set([
  ..."bash dash sh zsh ksh python python2 python3 perl ruby node php lua java".split(" "),
  ...["docker run", "docker exec", "podman run", "podman exec", "nerdctl run", "nerdctl exec"],
]);

/** For programs that no row names: many take a secret with `-p`, and a user and a secret with `-u`. */
const unknownProgram: ClientOptions = { secret: "p", user: "uU" };
const noSecrets: ClientOptions = {};

/** Where `program` (or its subcommand, as in `docker login`) takes secrets. */
export function clientOptions(program: string): ClientOptions {
  return clients.get(program) ?? (harmless.has(program) ? noSecrets : unknownProgram);
}

/** Whether the program or subcommand has a row of its own. */
export function isClient(program: string): boolean {
  return clients.has(program);
}

const programsWithSubcommands: ReadonlySet<string> = new Set(
  [...clients.keys()].filter((name) => name.includes(" ")).map((name) => name.slice(0, name.indexOf(" "))),
);

/** Whether some of the program's subcommands have rows. */
export function hasSubcommands(program: string): boolean {
  return programsWithSubcommands.has(program);
}

/** Whether the program's one-letter options are known to carry no secret. */
export function isHarmless(program: string): boolean {
  return harmless.has(program);
}
