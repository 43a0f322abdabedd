import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { has } from '../../support/debian.ts'

const io = new URL('../../../src/node/blogger/io.ts', import.meta.url).href
const asking = `import('${io}').then(async ({ processIo }) => {
  const said = await processIo.confirm('Go on? ')
  console.log('said ' + said)
})`

describe.skipIf(!has('script'))('processIo.confirm', () => {
  /** Asks on a terminal of its own, types when the question stands there, and gives what was printed. */
  async function ask(keys: string, redirect = ''): Promise<string> {
    const command = `"${process.execPath}" -e "$ASKING" ${redirect}`
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, ASKING: asking },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    let printed = ''
    child.stdout.on('data', (part: Buffer) => {
      const isAsked = printed.includes('Go on?')
      printed += part.toString()
      if (!isAsked && printed.includes('Go on?')) child.stdin.write(keys)
    })
    const [code] = await once(child, 'close')
    return `${/said (\w+)/.exec(printed)?.[1]}, ${code}`
  }

  it.each([
    ['y', 'y\r', 'true, 0'],
    ['nothing', '\r', 'false, 0'],
    ['Ctrl-D', '\u0004', 'false, 0'],
    ['Ctrl-C', '\u0003', 'false, 0'],
  ])('takes %s for what it is', async (_, keys, said) => {
    expect(await ask(keys)).toBe(said)
  })

  it('asks nobody where nobody sees the question', async () => {
    expect(await ask('', '2>/dev/null')).toBe('null, 0')
  })
})
