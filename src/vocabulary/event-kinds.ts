// The kinds of events: those that rules judge, and the others.
export type JudgedKind = "exec";
export type EventKind = JudgedKind | "fork" | "exit" | "user" | "loss" | "change";
