import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { html } from 'hono/html'
import { answerError } from './errors.ts'
import type { Html } from './layout.ts'
import type { LinkSource } from './links.ts'

/** Bytes of one form: the longest text in percent-encoding, or the largest key. */
export const maxFormBytes = 512 * 1024

/** Cuts a form that is too large before it is read. Code FORM_TOO_LARGE. */
export function formLimit(spoke: LinkSource) {
  return bodyLimit({
    maxSize: maxFormBytes,
    onError: (c) => {
      const reason = `More than ${maxFormBytes / 1024} KiB were sent. A text has at most 64 KiB; a key without the signatures of other people is much smaller: gpg --armor --export-options export-minimal --export. Go back: what you typed is still there.`
      return answerError(c, spoke, 'FORM_TOO_LARGE', reason)
    },
  })
}

/** Fields of one form that are looked at: three times what the longest form has. */
const maxFields = 32

/** What a form sent, each field once. Browsers write CRLF for every line end; texts have LF. */
export type Fields = (name: string) => string

export async function readForm(c: Context): Promise<Fields> {
  const sent = new URLSearchParams((await c.req.text()).split('&', maxFields).join('&'))
  return (name) => (sent.get(name) ?? '').replace(/\r\n?/g, '\n')
}

type Look = {
  readonly label: string
  readonly name: string
  readonly value?: string
  /** a sentence below the label */
  readonly hint?: Html
  readonly required?: boolean
  /** what password managers are told. Never `off`: then going back would lose what was typed. */
  readonly complete?: string
  readonly lang?: string
  readonly isCode?: boolean
}

/** One line of text with its label. */
export function textField(look: Look & { readonly maxLength?: number }): Html {
  const { label, name, value = '', required, complete, maxLength } = look
  const more = attributes({
    required: required === true,
    maxlength: maxLength === undefined ? false : String(maxLength),
    autocomplete: complete ?? false,
    'aria-describedby': look.hint === undefined ? false : `${name}-hint`,
    ...(look.isCode === true ? { autocapitalize: 'none', spellcheck: 'false' } : {}),
  })
  return html`<p><label for="${name}">${label}</label>${hintOf(look)}
<input type="text" id="${name}" name="${name}" value="${value}" dir="auto"${more}></p>`
}

/** Several lines of text with their label. */
export function textArea(look: Look & { readonly rows: number }): Html {
  const { label, name, value = '', rows, required } = look
  const more = attributes({
    required: required === true,
    'aria-describedby': look.hint === undefined ? false : `${name}-hint`,
    ...(look.isCode === true ? { autocapitalize: 'none', spellcheck: 'false' } : {}),
  })
  // A browser drops the first line end of a textarea: this one is for it.
  return html`<p><label for="${name}">${label}</label>${hintOf(look)}
<textarea id="${name}" name="${name}" rows="${rows}" dir="auto"${more}>
${value}</textarea></p>`
}

/** One of several, with its label. */
export function selectField({
  label,
  name,
  value,
  options,
}: Pick<Look, 'label' | 'name' | 'value'> & {
  readonly options: readonly { readonly value: string; readonly words: string }[]
}): Html {
  const items = options.map(
    (each) =>
      html`<option value="${each.value}"${each.value === value ? html` selected` : ''}>${each.words}</option>
`,
  )
  return html`<p><label for="${name}">${label}</label>
<select id="${name}" name="${name}" dir="auto">
${items}</select></p>`
}

function hintOf({ name, hint }: Look): Html {
  return hint === undefined ? html`` : html`<small id="${name}-hint">${hint}</small>`
}

function attributes(values: Readonly<Record<string, string | boolean>>): Html {
  return html`${Object.entries(values).map(([name, value]) =>
    value === false ? '' : value === true ? html` ${name}` : html` ${name}="${value}"`,
  )}`
}

export function hidden(values: Readonly<Record<string, string>>): Html {
  return html`${Object.entries(values).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">
`,
  )}`
}

/** Something to know before going on; read out at once by a screen reader. */
export function notice(sentence: string | Html): Html {
  return html`<div class="notice" role="alert"><p>${sentence}</p></div>`
}
