import { z } from 'zod'

const prefix = 'COUNCIL_'

type Overridden = { readonly value: unknown; readonly problems: readonly string[] }

/**
 * Puts the variables `COUNCIL_<FIELD>` and `COUNCIL_<SECTION>__<FIELD>` of the environment into a
 * config that is not checked yet. Pure. One that names no field of the schema is a problem, since
 * it was meant to do something.
 */
export function override(value: unknown, env: NodeJS.ProcessEnv, schema: z.ZodObject): Overridden {
  const variables = Object.entries(env).filter(([name]) => name.startsWith(prefix))
  if (variables.length === 0 || typeof value !== 'object' || value === null) {
    return { value, problems: [] }
  }
  const problems: string[] = []
  const result: Record<string, unknown> = { ...value }
  for (const [variable, given = ''] of variables) {
    const [first = '', second, more] = variable.slice(prefix.length).split('__')
    const name = Object.keys(schema.shape).find(isNamed(first))
    const section = name === undefined ? null : sectionOf(schema, name)
    const key = section === null ? undefined : Object.keys(section).find(isNamed(second ?? ''))
    if (name === undefined || more !== undefined || (key === undefined) !== (section === null)) {
      problems.push(`${variable} (environment): no such field; want ${prefix}<SECTION>__<FIELD>`)
    } else if (section === null && second !== undefined) {
      problems.push(`${variable} (environment): ${name} is a field, no section`)
    } else if (section === null || key === undefined) {
      result[name] = read(schema.shape[name] as z.ZodType, given)
    } else {
      // What is no section is refused with the rest of the config.
      const before = result[name] ?? {}
      if (typeof before !== 'object') continue
      result[name] = { ...before, [key]: read(section[key] as z.ZodType, given) }
    }
  }
  return { value: result, problems }
}

/** The fields of a section, below its default, its transform and that it may be missing; null for a plain field. */
export function sectionOf(schema: z.ZodObject, name: string) {
  let inner: unknown = schema.shape[name]
  for (;;) {
    if (inner instanceof z.ZodObject) return inner.shape
    if (inner instanceof z.ZodPipe) inner = inner.in
    else if (inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault)
      inner = inner.unwrap()
    else return null
  }
}

/** `SILENCE_MS`, `silenceMs` and `SILENCEMS` are one name. */
function isNamed(variable: string): (name: string) => boolean {
  const plain = (name: string) => name.replaceAll('_', '').toLowerCase()
  return (name) => plain(name) === plain(variable)
}

/** A variable is text; where the field wants none, it is read as JSON: number, true, list, null. */
function read(want: z.ZodType, given: string): unknown {
  if (want.safeParse(given).success) return given
  try {
    return JSON.parse(given)
  } catch {
    return given
  }
}
