# What all guests do: results, treewarden's own test, and what denials refuse. For any POSIX shell; the caller sets $results.

# Each line of $results is a result: "ok" or "failed", the step, and what was seen, separated by tabs.
result() { # result ok|failed STEP TEXT
  printf '%s\t%s\t%s\n' "$1" "$2" "$(printf '%s' "$3" | tr '\n\t' '  ' | tail -c 1500)" | tee -a "$results" > /dev/console
  sync
}

# A step is a function that prints what it saw and ends with 0, or with another code if it is not as it must be.
step() { # step TITLE FUNCTION
  if text=$($2 2>&1); then result ok "$1" "$text"; else result failed "$1" "$text"; fi
}

uptime_now() { cut -d ' ' -f 1 /proc/uptime; }
seconds_since() { awk -v start="$1" '{ printf "%.1f s", $1 - start }' /proc/uptime; }

until_true() { # until_true SECONDS COMMAND...
  end=$(($(cut -d . -f 1 /proc/uptime) + $1))
  shift
  until "$@"; do
    [ "$(cut -d . -f 1 /proc/uptime)" -lt "$end" ] || return 1
    sleep 1
  done
}

# `status` ends with 1 while something is degraded.
is_watching() { treewarden status 2> /dev/null | grep -q 'running since'; }
records() { treewarden events --output json "$@"; }

# Outcomes of verdicts by the rule, such as "3 denied".
verdicts() { # verdicts RULE
  records | grep '"event.name":"policy.verdict"' | grep "\"[^\"]*$1\"" | grep -o '"policy.outcome":"[^"]*"' | sort | uniq -c |
    sed -E 's/ *([0-9]+) .*:"(.*)"/\1 \2/' | tr '\n' ' '
}
has_verdicts() { verdicts "$1" | grep -q "$2"; } # has_verdicts RULE VERDICTS

doctor_finds_nothing_wrong() {
  treewarden doctor --output json | grep '"check.status":"\(wrong\|missing\)"' |
    sed -E 's/.*"check.name":"([^"]*)".*"check.detail":"([^"]*)".*/\1: \2/'
  treewarden doctor > /dev/null
}

# Each check with what it saw; the lines are those of doctor --self-test --output json.
self_test() {
  lines=$(treewarden doctor --self-test --output json)
  code=$?
  printf '%s\n' "$lines" |
    sed -nE 's/.*"self_test.source":"([^"]*)","self_test.check":"([^"]*)","self_test.passed":(true|false),"self_test.detail":"([^"]*)".*/\1 \2 \3: \4;/p' |
    sed 's/ true:/:/; s/ false:/ FAILED:/'
  return $code
}

# A policy that denies 127.0.0.3 to what a script of this test starts, and nothing else to anybody.
write_deny_policy() {
  mkdir -p /etc/treewarden/policies
  cat > /etc/treewarden/policies/boot.json << 'END'
{ "role": "boot",
  "rules": [
    { "id": "boot-denied", "on": ["connect", "send"],
      "when": { "and": [ { "under": ["boot-denied"] }, { "cidr": [ { "var": "network.peer.address" }, ["127.0.0.3/32"] ] } ] },
      "action": "deny", "severity": "high" } ],
  "default": "allow" }
END
  cat > /etc/treewarden/config.yaml << 'END'
policies: [boot]
enforcement: kill
armed: [boot/boot-denied]
armed_since_hours: 0
network: { connect: { loopback: true }, send: { loopback: true } }
END
}

# Runs COMMAND below a script of this name, which waits, by a builtin of the shell, until the warden must have judged it.
run_below() { # run_below NAME COMMAND
  mkdir -p /usr/local/bin
  printf '#!/bin/sh\nread -r begin\n%s\n' "$2" > "/usr/local/bin/$1"
  chmod +x "/usr/local/bin/$1"
  { sleep 5; echo begin; } | "/usr/local/bin/$1"
}

kernel_before_5_12() { uname -r | awk -F . '{ exit !($1 < 5 || ($1 == 5 && $2 < 12)) }'; }

# Whether attempts below boot-denied, and below another script, ended as they must: as ALLOWED where nothing is denied. Where
# the kernel keeps nothing for a socket, EVERYTHING is refused, and `doctor` and the warden must say so; and before Linux 5.12
# nothing can be.
judge_attempts() { # judge_attempts SEEN SEEN-BELOW-ANOTHER ALLOWED DENIED EVERYTHING
  echo "denied: $1; below another script: $2"
  [ "$2" = "$3" ] || return
  if kernel_before_5_12; then
    treewarden status | grep -m 1 'the network is not watched' && [ "$1" = "$3" ]
    return
  fi
  told='are refused all connections'
  if treewarden doctor | grep -q "$told"; then
    treewarden status | sed -n '/^degraded:/,/^enforcement:/p' | grep -m 1 "$told" && [ "$1" = "$5" ]
  else
    ! treewarden status | grep "$told" && [ "$1" = "$4" ]
  fi
}

# For a guest whose tools are busybox's. Nobody listens on the port: an attempt that is not refused reaches the host, which
# resets it. Not by nc, which says nothing on Alpine.
wget_attempts='for address in 127.0.0.1 127.0.0.3; do wget -q -T 5 -O /dev/null http://$address:9 2>&1; done |
  sed "s/.*(\([0-9.]*\)): /\1: /; s/Operation not permitted/refused/; s/Connection refused/reached/" | tr "\n" " "'
try_wget_denials() {
  seen=$(run_below boot-denied "$wget_attempts")
  other=$(run_below boot-free "$wget_attempts")
  judge_attempts "$seen" "$other" "127.0.0.1: reached 127.0.0.3: reached " "127.0.0.1: reached 127.0.0.3: refused " \
    "127.0.0.1: refused 127.0.0.3: refused "
}
