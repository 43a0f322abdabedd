import { z } from 'zod'

/** What a claim has been through, shown to the blogger while it is pending (DESIGN 5, Claim). */
export const claimShape = z.object({
  id: z.string().length(64),
  blog: z.string().max(30),
  state: z.enum(['pending', 'ready', 'refused']),
  steps: z
    .array(
      z.object({
        step: z.enum(['checked', 'asked-dns', 'asked-authority', 'assigned', 'copied']),
        state: z.enum(['done', 'failed', 'waiting']),
        atMs: z.number().nullable(),
        detail: z.string().max(500),
      }),
    )
    .max(5),
  code: z.string().max(60).nullable(),
  reason: z.string().max(500).nullable(),
})
export type ClaimRecord = z.infer<typeof claimShape>
export type ClaimStep = ClaimRecord['steps'][number]

/** The record with one step set; steps keep their order. Pure. */
export function setStep(record: ClaimRecord, step: ClaimStep): ClaimRecord {
  const known = record.steps.some((each) => each.step === step.step)
  const steps = known
    ? record.steps.map((each) => (each.step === step.step ? step : each))
    : [...record.steps, step]
  return { ...record, steps }
}
