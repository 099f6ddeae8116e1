// A Java program that is made without a compiler: it starts the command that it is given, and waits for it.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Tags of the constant pool's entries: The Java Virtual Machine Specification, 4.4. */
const TAGS = { utf8: 1, classRef: 7, methodRef: 10, nameAndType: 12 } as const;
/** Class files of Java 8: bytecode without branches needs no stack maps. */
const VERSION = 52;

class ConstantPool {
  private readonly entries: Buffer[] = [];

  get size(): number {
    return this.entries.length + 1;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.entries);
  }

  utf8(text: string): number {
    return this.add(Buffer.from([TAGS.utf8, 0, text.length]), Buffer.from(text, "latin1"));
  }

  classRef(name: string): number {
    return this.add(Buffer.from([TAGS.classRef, 0, this.utf8(name)]));
  }

  method(owner: string, name: string, type: string): number {
    const nameAndType = this.add(Buffer.from([TAGS.nameAndType, 0, this.utf8(name), 0, this.utf8(type)]));
    return this.add(Buffer.from([TAGS.methodRef, 0, this.classRef(owner), 0, nameAndType]));
  }

  private add(...parts: readonly Buffer[]): number {
    this.entries.push(Buffer.concat(parts));
    return this.entries.length;
  }
}

/** `class Main { public static void main(String[] args) { Runtime.getRuntime().exec(args).waitFor(); } }` */
function mainClass(): Buffer {
  const pool = new ConstantPool();
  const self = pool.classRef("Main");
  const parent = pool.classRef("java/lang/Object");
  const [name, type, code] = [pool.utf8("main"), pool.utf8("([Ljava/lang/String;)V"), pool.utf8("Code")];
  const runtime = pool.method("java/lang/Runtime", "getRuntime", "()Ljava/lang/Runtime;");
  const exec = pool.method("java/lang/Runtime", "exec", "([Ljava/lang/String;)Ljava/lang/Process;");
  const waitFor = pool.method("java/lang/Process", "waitFor", "()I");
  // invokestatic, aload_0, invokevirtual, invokevirtual, pop, return
  const body = [0xb8, 0, runtime, 0x2a, 0xb6, 0, exec, 0xb6, 0, waitFor, 0x57, 0xb1];
  // Stack of two, one local variable; no exceptions are caught, no attributes.
  const attribute = [0, 2, 0, 1, 0, 0, 0, body.length, ...body, 0, 0, 0, 0];
  return Buffer.concat([
    Buffer.from([0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, VERSION, 0, pool.size]),
    pool.bytes,
    // public super; no interfaces, no fields, one method, which is public static and has one attribute.
    Buffer.from([0, 0x21, 0, self, 0, parent, 0, 0, 0, 0, 0, 1, 0, 9, 0, name, 0, type, 0, 1]),
    Buffer.from([0, code, 0, 0, 0, attribute.length, ...attribute, 0, 0]),
  ]);
}

/** Writes an archive that `java -jar` runs. */
export function writeJar(path: string): void {
  const folder = `${path}.d`;
  mkdirSync(join(folder, "META-INF"), { recursive: true });
  writeFileSync(join(folder, "Main.class"), mainClass());
  writeFileSync(join(folder, "META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\nMain-Class: Main\n");
  const { exitCode, stderr } = Bun.spawnSync(
    ["python3", "-m", "zipfile", "-c", path, "META-INF", "Main.class"],
    {
      cwd: folder,
    },
  );
  if (exitCode !== 0) throw new Error(stderr.toString());
  rmSync(folder, { recursive: true });
}
