// A cache whose size hostile keys cannot inflate: each of its two generations is bounded in entries and in key length.

/** Keeps recently used values. A value that is not used during a whole generation is dropped. */
export class BoundedCache<V> {
  private young = new Map<string, V>();
  private old = new Map<string, V>();
  private characters = 0;
  private readonly maxEntries: number;
  private readonly maxCharacters: number;

  /** Each of the two generations holds at most `entries` keys, with at most `characters` characters in all of them. */
  constructor(entries: number, characters: number) {
    this.maxEntries = entries;
    this.maxCharacters = characters;
  }

  get(key: string): V | undefined {
    const value = this.young.get(key);
    if (value !== undefined) return value;
    const oldValue = this.old.get(key);
    if (oldValue !== undefined) this.set(key, oldValue);
    return oldValue;
  }

  set(key: string, value: V): void {
    if (this.young.size >= this.maxEntries || this.characters + key.length > this.maxCharacters) {
      this.old = this.young;
      this.young = new Map();
      this.characters = 0;
    }
    this.characters += key.length;
    this.young.set(key, value);
  }
}
