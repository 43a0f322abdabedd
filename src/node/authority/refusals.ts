import { refuse } from '../../auth/verdict.ts'

/** The authority has just begun, or its disk does not hold the log. */
export const noNames = refuse('NOT_READY', 'The authority has no @names yet.')

/** @param which - a name or peer id, as an operator typed it */
export const unknownMember = (which: string) =>
  refuse('MEMBER_UNKNOWN', `No peer of this council is called ${which}: ./council status`)
