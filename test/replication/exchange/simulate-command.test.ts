import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const command = join(import.meta.dirname, '../../support/simulation/command.ts')

describe('npm run simulate', () => {
  it.each(['--seeds', '--steps', '--workers'])('runs nothing with %s 0', (option) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, option, '0'], {
      encoding: 'utf8',
    })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('Want 1 or more.')
  })
})
