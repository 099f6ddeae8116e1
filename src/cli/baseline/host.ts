// What the baseline's commands need of this host's settings.

export interface BaselineHost {
  readonly stateDirectory: string;
}
