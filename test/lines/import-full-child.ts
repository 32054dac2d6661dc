/** Imports an image on a small disk and says how that ended: `import-full-child.ts DIR IMAGE CACHE`. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { filled } from '../../node/lines/qemu/filled.ts'
import { importDisk } from '../../node/lines/qemu/image/import-image.ts'
import { asPlantError } from '../../protocols/kit/index.ts'

const [disk = '', file = '', cacheDir = ''] = process.argv.slice(2)
const dir = join(disk, 'golden')
const code = await filled(dir, async () => await importDisk({ file, name: 'x', dir, diskMiB: 64, cacheDir, qemu: { img: 'qemu-img', env: process.env }, onStep: () => {} })).then(() => 'taken', (error: unknown) => asPlantError(error).code)
process.stdout.write(JSON.stringify({ code, left: await readdir(dir) }))
