// The environment variables that are read at an exec, and their names as variables of events.

/**
 * What is read if the configuration does not say otherwise: variables that make another program run code that is not
 * its own. Sources: ld.so(8), bash(1), python(1), perlrun(1), ruby(1), node(1), java(1), git(1), less(1).
 */
export const defaultEnvironmentNames: readonly string[] = [
  "LD_PRELOAD",
  "LD_AUDIT",
  "LD_LIBRARY_PATH",
  "BASH_ENV",
  "ENV",
  "PYTHONPATH",
  "PYTHONSTARTUP",
  "PYTHONHOME",
  "PERL5OPT",
  "PERL5LIB",
  "RUBYOPT",
  "NODE_OPTIONS",
  "JAVA_TOOL_OPTIONS",
  "GIT_SSH_COMMAND",
  "GCONV_PATH",
];

/** What the name of an environment variable begins with as a variable of an event. */
export const ENVIRONMENT_PREFIX = "process.environment_variable.";

/** An environment variable as a variable of an event. */
export type EnvironmentVariable = `${typeof ENVIRONMENT_PREFIX}${string}`;

/** The names that shells and the C library can set. */
export const environmentName: RegExp = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

export function isEnvironmentVariable(name: string): name is EnvironmentVariable {
  return name.startsWith(ENVIRONMENT_PREFIX) && environmentName.test(name.slice(ENVIRONMENT_PREFIX.length));
}

/** The name of an environment variable as a variable of an event. */
export function environmentVariable(name: string): EnvironmentVariable {
  return `${ENVIRONMENT_PREFIX}${name}`;
}

/** The name within the environment. */
export function nameInEnvironment(variable: EnvironmentVariable): string {
  return variable.slice(ENVIRONMENT_PREFIX.length);
}
