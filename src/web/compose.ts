import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import { sortTags } from '../replication/log/entry.ts'
import { maxSlugCharacters } from '../replication/protocol.ts'

/** A post as its author means it, in the form that DESIGN 3.1 allows. */
export type Composed = { readonly title: string; readonly body: string }

const fence = /^ {0,3}(`{3,}|~{3,})/
const heading = /^ {0,3}#{1,6}( |$)/

/**
 * Brings a Markdown file into the form of DESIGN 3.1. Pure.
 *
 * CRLF becomes LF, two or more blanks at a line's end become `\`, other trailing blanks and the
 * outer empty lines go, the rest becomes NFC. What no rule changes (a lone CR, control characters)
 * stays and is refused by `encodeEntry`. Without `title` the first `# ` line is the title and
 * leaves the body, since the page shows the title above it.
 *
 * Codes: FILE_NOT_UTF8, FILE_NO_TITLE.
 */
export function composePost(file: Uint8Array, title: string | undefined): Verdict<Composed> {
  let source: string
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(file)
  } catch {
    return refuse('FILE_NOT_UTF8', 'The file is not valid UTF-8. Save it as UTF-8.')
  }
  const lines = cleanLines(source.replaceAll('\r\n', '\n').normalize('NFC').split('\n'))
  if (title !== undefined) {
    const given = cleanTitle(title)
    return given === '' ? noTitle : accept({ title: given, body: withoutOuterLines(lines) })
  }
  const at = titleLine(lines)
  const found = cleanTitle((lines[at] ?? '').replace(/^# /, '').replace(/ #+$/, ''))
  if (found === '') return noTitle
  return accept({ title: found, body: withoutOuterLines(lines.toSpliced(at, 1)) })
}

const noTitle = refuse(
  'FILE_NO_TITLE',
  'The post has no title. Give it one, or begin the text with a line like: # Title',
)

function cleanTitle(title: string): string {
  return title.normalize('NFC').replace(/\s+/g, ' ').trim()
}

/**
 * Trailing blanks, line by line. A `\` is written only where Markdown reads the blanks as a line
 * break: in code, in a heading and at a paragraph's end a reader would see the `\` itself.
 */
function cleanLines(lines: readonly string[]): string[] {
  const inCode = codeLines(lines)
  const isEmpty = (line: string | undefined) => line === undefined || /^[ \t]*$/.test(line)
  return lines.map((line, index) => {
    const kept = withoutEnd(line, ' \t')
    const breaks =
      line.endsWith('  ') &&
      !isEmpty(line) &&
      !isEmpty(lines[index + 1]) &&
      !inCode[index] &&
      !heading.test(line)
    return breaks ? `${kept}\\` : kept
  })
}

/** Which lines belong to a fenced code block, its fences included (CommonMark 4.5). */
function codeLines(lines: readonly string[]): boolean[] {
  let open: string | null = null
  return lines.map((line) => {
    const mark = fence.exec(line)?.[1]
    if (open === null) {
      open = mark ?? null
      return mark !== undefined
    }
    const closes = mark?.startsWith(open) && line.trim() === mark
    if (closes) open = null
    return true
  })
}

function titleLine(lines: readonly string[]): number {
  const inCode = codeLines(lines)
  return lines.findIndex((line, index) => line.startsWith('# ') && !inCode[index])
}

function withoutOuterLines(lines: readonly string[]): string {
  return withoutEnd(lines.join('\n').replace(/^\n+/, ''), '\n')
}

/** Not a regular expression: that is quadratic here, and half a megabyte of blanks takes minutes. */
function withoutEnd(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text[end - 1] as string)) end--
  return text.slice(0, end)
}

/**
 * A slug for a title: compatibility forms resolved, marks stripped, a–z and 0–9 kept, cut at a
 * word. A title without any such character (人人) gets `post-<seq>`.
 */
export function slugFor(title: string, seq: number): string {
  const words = title
    .toLowerCase()
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
  let slug = ''
  for (const word of words) {
    const longer = slug === '' ? word.slice(0, maxSlugCharacters) : `${slug}-${word}`
    if (longer.length > maxSlugCharacters) break
    slug = longer
  }
  return slug === '' ? `post-${seq}` : slug
}

/** `--tags a,b` as a text wants them: NFC, sorted, each once. */
export function readTags(list: string): string[] {
  const tags = list.split(',').map((tag) => tag.normalize('NFC').replace(/\s+/g, ' ').trim())
  return sortTags(tags.filter((tag) => tag !== ''))
}
