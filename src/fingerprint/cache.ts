// A cache that hostile keys cannot grow: two generations, each bounded in entries and in characters of keys.

/** What was used lately stays; what was not used for a whole generation goes. */
export class BoundedCache<V> {
  private young = new Map<string, V>();
  private old = new Map<string, V>();
  private characters = 0;
  private readonly entries: number;
  private readonly limit: number;

  /** At most `entries` keys and `characters` characters of keys in each of the two generations. */
  constructor(entries: number, characters: number) {
    this.entries = entries;
    this.limit = characters;
  }

  get(key: string): V | undefined {
    const value = this.young.get(key);
    if (value !== undefined) return value;
    const older = this.old.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  set(key: string, value: V): void {
    if (this.young.size >= this.entries || this.characters + key.length > this.limit) {
      this.old = this.young;
      this.young = new Map();
      this.characters = 0;
    }
    this.characters += key.length;
    this.young.set(key, value);
  }
}
