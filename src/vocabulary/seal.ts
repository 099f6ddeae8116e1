// A seal on a text: only who can read the key can make it.

/** In bytes, as long as the output of SHA-256 (RFC 2104, section 3). */
export const SEAL_KEY_BYTES = 32;
/** Hexadecimal digits of a seal: 128 bits of HMAC-SHA-256, which RFC 2104, section 5, allows. */
export const SEAL_DIGITS = 32;

/** `key`: SEAL_KEY_BYTES random bytes. */
export function sealText(key: Uint8Array, text: string): string {
  return new Bun.CryptoHasher("sha256", key).update(text).digest("hex").slice(0, SEAL_DIGITS);
}
