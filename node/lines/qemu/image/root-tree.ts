/**
 * A root file system that is being laid out for a disk: files in a directory of the host, and what the host could not keep of them (owners,
 * permissions, times) beside it. Names are resolved in the tree itself, so nothing that an archive says leads out of it: an absolute name
 * begins at the tree's root, `..` ends there, and links are followed in the tree and never on the host.
 */
import { createWriteStream } from 'node:fs'
import { link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { TarEntry } from './tar-read.ts'

/** A full desktop has half a million files. */
const ENTRIES_MAX = 2_000_000
/** path_resolution(7). */
const LINKS_MAX = 40
/** Written in one piece; nearly all files are. */
const SMALL_BYTES = 256 * 1024
const NAME_BYTES_MAX = 255
const PATH_BYTES_MAX = 4096

export interface Attributes {
  mode: number
  uid: number
  gid: number
  mtimeS: number
  capability?: Uint8Array
}

export interface TreeNode extends Attributes {
  kind: 'directory' | 'file' | 'symlink'
  /** Of a symbolic link. */
  target?: string
}

const ROOT_OWNED = { uid: 0, gid: 0, mtimeS: 0 }

/** See the top of this file. Methods that add throw IMAGE_INVALID for what a disk cannot hold. */
export class RootTree {
  readonly dir: string
  /** By path, without a slash at either end; the root itself is ''. */
  readonly #nodes = new Map<string, TreeNode>([['', { kind: 'directory', mode: 0o755, ...ROOT_OWNED }]])
  readonly #bytesMax: number
  #bytes = 0

  /** `dir` is there, empty and for its owner alone; more than `bytesMax` of content is refused. */
  constructor (dir: string, bytesMax: number) {
    this.dir = dir
    this.#bytesMax = bytesMax
  }

  /** Bytes of content so far. */
  get bytes (): number { return this.#bytes }
  get count (): number { return this.#nodes.size }

  entries (): IterableIterator<[string, TreeNode]> { return this.#nodes.entries() }

  /** What a name leads to, links followed; undefined when it leads nowhere. */
  find (name: string): { path: string, node: TreeNode } | undefined {
    const path = this.#resolve(partsOf(name), true)
    const node = path === undefined ? undefined : this.#nodes.get(path)
    return path === undefined || node === undefined ? undefined : { path, node }
  }

  /** Takes in an entry of an archive. Devices, pipes and sockets are left out: the guest's kernel makes them. Throws IMAGE_INVALID. */
  async take (entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { mode, uid, gid, mtimeS, capability } = entry
    const attributes = { mode, uid, gid, mtimeS, ...(capability !== undefined && { capability }) }
    if (entry.kind === 'directory') await this.#directory(entry.name, attributes)
    else if (entry.kind === 'file') await this.#file(entry.name, attributes, entry.bytes, content)
    else if (entry.kind === 'symlink') await this.symlink(entry.name, entry.link, attributes)
    else if (entry.kind === 'hardlink') await this.#hardLink(entry.name, entry.link)
  }

  async directory (name: string, mode = 0o755): Promise<void> { await this.#directory(name, { mode, ...ROOT_OWNED }) }

  async file (name: string, data: Uint8Array | string, mode = 0o644): Promise<void> {
    const bytes = Buffer.from(data)
    await this.#file(name, { mode, ...ROOT_OWNED }, bytes.length, [bytes])
  }

  async symlink (name: string, target: string, attributes: Attributes = { mode: 0o777, ...ROOT_OWNED }): Promise<void> {
    if (target === '' || Buffer.byteLength(target) >= PATH_BYTES_MAX || target.includes('\0')) throw invalid(name, 'a link leads nowhere')
    const path = await this.#place(name)
    await symlink(target, join(this.dir, path))
    this.#nodes.set(path, { kind: 'symlink', target, ...attributes })
  }

  /** Text of a file, '' when there is none. */
  async text (name: string): Promise<string> {
    const found = this.find(name)
    return found?.node.kind === 'file' ? await readFile(join(this.dir, found.path), 'utf8') : ''
  }

  /** Names in a directory, links followed; none when there is no such directory. */
  names (name: string): string[] {
    const found = this.find(name)
    if (found === undefined) return []
    const start = found.path === '' ? '' : `${found.path}/`
    return [...this.#nodes.keys()].filter((path) => path !== '' && path.startsWith(start) && !path.slice(start.length).includes('/')).map((path) => path.slice(start.length))
  }

  /** Removes a file or link, if there is one. */
  async remove (name: string): Promise<void> {
    const path = this.#resolve(partsOf(name), false)
    if (path === undefined || this.#nodes.get(path)?.kind === 'directory') return
    await rm(join(this.dir, path))
    this.#nodes.delete(path)
  }

  async #directory (name: string, attributes: Attributes): Promise<void> {
    const path = await this.#parentOf(name)
    const there = this.#nodes.get(path)
    // Many archives have a directory where the tree has a link to one (bin, since /usr was merged).
    if (there?.kind === 'symlink' && this.find(path)?.node.kind === 'directory') return
    if (there?.kind === 'directory') {
      this.#nodes.set(path, { kind: 'directory', ...attributes })
      return
    }
    await this.#place(name)
    await mkdir(join(this.dir, path), { mode: 0o700 })
    this.#nodes.set(path, { kind: 'directory', ...attributes })
  }

  async #file (name: string, attributes: Attributes, bytes: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    this.#bytes += bytes
    if (this.#bytes > this.#bytesMax) throw new PlantError('IMAGE_INVALID', { problem: 'its files are larger than the disk', bytesMax: this.#bytesMax })
    const path = await this.#place(name)
    // Owner's bits only: a foreign program with special bits must be nobody's to run here, and the disk gets its own.
    const options = { flag: 'wx', mode: 0o600 }
    if (bytes <= SMALL_BYTES) await writeFile(join(this.dir, path), await gathered(content), options)
    else await pipeline(Readable.from(content), createWriteStream(join(this.dir, path), { flags: options.flag, mode: options.mode }))
    this.#nodes.set(path, { kind: 'file', ...attributes })
  }

  async #hardLink (name: string, target: string): Promise<void> {
    const from = this.#resolve(partsOf(target), false)
    const node = from === undefined ? undefined : this.#nodes.get(from)
    if (from === undefined || node === undefined || node.kind === 'directory') throw invalid(name, 'a hard link names no file before it')
    if (this.#resolve(partsOf(name), false) === from) return
    const path = await this.#place(name)
    if (node.kind === 'symlink') await symlink(node.target ?? '', join(this.dir, path))
    else await link(join(this.dir, from), join(this.dir, path))
    this.#nodes.set(path, node)
  }

  /** Where a new entry goes; its directory is there then, and what was of its name is gone. A directory is never replaced. */
  async #place (name: string): Promise<string> {
    const path = await this.#parentOf(name)
    const there = this.#nodes.get(path)
    if (there?.kind === 'directory') throw invalid(name, 'it is where a directory is')
    if (there !== undefined) {
      await rm(join(this.dir, path))
      this.#nodes.delete(path)
    }
    if (this.#nodes.size >= ENTRIES_MAX) throw new PlantError('IMAGE_INVALID', { problem: 'too many files', max: ENTRIES_MAX })
    return path
  }

  /** Resolves all but the last part of a name and makes the directories that are missing. */
  async #parentOf (name: string): Promise<string> {
    const parts = partsOf(name)
    const last = parts.pop()
    if (last === undefined) return ''
    if (last === '..') throw invalid(name, 'it ends in ..')
    let parent = this.#resolve(parts, true)
    if (parent === undefined) {
      parent = await this.#makeAll(parts, name)
    } else if (this.#nodes.get(parent)?.kind !== 'directory') throw invalid(name, 'it is below what is no directory')
    return parent === '' ? last : `${parent}/${last}`
  }

  async #makeAll (parts: string[], name: string): Promise<string> {
    for (let end = 1; end <= parts.length; end++) {
      const some = parts.slice(0, end)
      if (this.#resolve(some, true) !== undefined) continue
      // A link that leads nowhere is not followed into being.
      const lexical = this.#resolve(some.slice(0, -1), true)
      const last = some.at(-1) ?? ''
      const path = lexical === undefined || lexical === '' ? last : `${lexical}/${last}`
      if (lexical === undefined || last === '..' || this.#nodes.has(path)) throw invalid(name, 'its directory cannot be made')
      await mkdir(join(this.dir, path), { recursive: true, mode: 0o700 })
      this.#nodes.set(path, { kind: 'directory', mode: 0o755, ...ROOT_OWNED })
    }
    const made = this.#resolve(parts, true)
    if (made === undefined || this.#nodes.get(made)?.kind !== 'directory') throw invalid(name, 'its directory cannot be made')
    return made
  }

  /** The path that these parts lead to in the tree, or undefined. With `follow`, the last may be a link too. */
  #resolve (parts: string[], follow: boolean): string | undefined {
    const left = parts.toReversed()
    let at = ''
    let links = 0
    for (let part = left.pop(); part !== undefined; part = left.pop()) {
      if (part === '..') {
        at = at.includes('/') ? dirname(at) : ''
        continue
      }
      const path = at === '' ? part : `${at}/${part}`
      const node = this.#nodes.get(path)
      if (node === undefined) return undefined
      if (node.kind === 'symlink' && (follow || left.length > 0)) {
        if (++links > LINKS_MAX) return undefined
        const target = node.target ?? ''
        if (target.startsWith('/')) at = ''
        left.push(...partsOf(target).toReversed())
        continue
      }
      if (node.kind !== 'directory' && left.length > 0) return undefined
      at = path
    }
    return at
  }
}

/** Parts of a name without those that mean nothing. Control characters could end a command of the tool that sets attributes. */
function partsOf (name: string): string[] {
  // eslint-disable-next-line no-control-regex -- these are what is refused
  if (/[\u0000-\u001f\u007f]/.test(name)) throw invalid(name, 'its name has control characters')
  if (Buffer.byteLength(name) > PATH_BYTES_MAX) throw invalid(name.slice(0, 100), 'its name is too long')
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.some((part) => Buffer.byteLength(part) > NAME_BYTES_MAX)) throw invalid(name.slice(0, 100), 'its name is too long')
  return parts
}

async function gathered (content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of content) pieces.push(piece)
  return Buffer.concat(pieces)
}

function invalid (name: string, problem: string): PlantError {
  return new PlantError('IMAGE_INVALID', { entry: name, problem })
}
