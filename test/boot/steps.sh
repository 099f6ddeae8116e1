# What both guests do: results, and treewarden's own test. For any POSIX shell; the caller sets $results.

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

# Each check with what it saw; the lines are those of doctor --self-test --output json.
self_test() {
  lines=$(treewarden doctor --self-test --output json)
  code=$?
  printf '%s\n' "$lines" |
    sed -nE 's/.*"self_test.source":"([^"]*)","self_test.check":"([^"]*)","self_test.passed":(true|false),"self_test.detail":"([^"]*)".*/\1 \2 \3: \4;/p' |
    sed 's/ true:/:/; s/ false:/ FAILED:/'
  return $code
}
