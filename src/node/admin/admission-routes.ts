import type { Hono } from 'hono'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { formatDate } from '../../replication/log/text.ts'
import { invitationId } from '../../replication/registry/invitation.ts'
import type { Admissions, Approval } from '../authority/admissions.ts'
import { type Invitation, whyNotGood } from '../authority/invitations.ts'
import type { Waiting } from '../authority/waiting.ts'
import type { OtherPort } from '../page-port.ts'
import {
  admitRequest,
  inviteRequest,
  refuseRequest,
  revokeRequest,
  type ShownInvitation,
  type ShownWaiting,
} from './admin-answers.ts'
import { notTheAuthority, order, question, shown } from './admin-route.ts'

/** What `admit` and `invite` need of the running peer. */
export type Admitting = {
  /** null at peers without the section `authority` */
  readonly admissions: Admissions | null
  /** what a newcomer joins with; null until `@roster` is here */
  readonly bootstrap: (invite: string) => string | null
  /** the name in `@roster` */
  readonly nameOf: (peer: PeerName) => string | null
  /** see `otherPort` in page-port.ts */
  readonly otherPort: (web: readonly string[]) => OtherPort | null
  readonly now: () => number
}

/** What `admit` and `invite` ask of the authority. Code NOT_THE_AUTHORITY elsewhere. */
export function admissionRoutes(app: Hono, peer: Admitting): void {
  const here = async (
    ask: (admissions: Admissions) => Promise<Verdict<object>>,
  ): Promise<Verdict<object>> => (peer.admissions === null ? notTheAuthority : ask(peer.admissions))

  question(app, '/waiting', () =>
    here(async (admissions) => {
      const waiting = admissions.waiting().map((each) => showWaiting(each, peer))
      return accept({ policy: admissions.policy, waiting })
    }),
  )
  order(app, '/admit', admitRequest, ({ which, dryRun }) =>
    here(async (admissions) =>
      shown(await admissions.admit(which, dryRun), (approval) =>
        showApproval(approval, !dryRun, peer),
      ),
    ),
  )
  order(app, '/refuse', refuseRequest, ({ which, reason, dryRun }) =>
    here(async (admissions) =>
      shown(await admissions.refuse(which, reason, dryRun), (member) =>
        showApproval({ member, reached: member.web }, !dryRun, peer),
      ),
    ),
  )

  question(app, '/invitations', () =>
    here(async (admissions) => {
      const invitations = admissions.invitations().map((each) => showInvitation(each, peer))
      return accept({ policy: admissions.policy, invitations })
    }),
  )
  order(app, '/invite', inviteRequest, (terms) =>
    here(async (admissions) => {
      if (peer.bootstrap('') === null)
        return refuse('NOT_READY', 'This peer has no address yet at which others could join.')
      return shown(await admissions.invite(terms), ({ secret, invitation }) => ({
        policy: admissions.policy,
        invitation: showInvitation(invitation, peer),
        bootstrap: peer.bootstrap(secret),
      }))
    }),
  )
  order(app, '/revoke', revokeRequest, ({ id }) =>
    here(async (admissions) =>
      shown(await admissions.revoke(id), (invitation) => ({
        invitation: showInvitation(invitation, peer),
      })),
    ),
  )
}

function showWaiting(
  { request, origin, sinceMs, askedMs, refused }: Waiting,
  { nameOf }: Admitting,
): ShownWaiting {
  const { peer, name, operator, network, country } = request.member
  return {
    ...{ peer, name, operator, network, country },
    roles: [...request.member.roles],
    addresses: [...request.member.addresses],
    web: [...request.member.web],
    dns: [...request.member.dns],
    since: formatDate(sinceMs),
    asked: formatDate(askedMs),
    host: origin.host,
    via: origin.via === null ? null : (nameOf(origin.via) ?? origin.via),
    refused: refused === null ? null : { reason: refused.reason, at: formatDate(refused.atMs) },
  }
}

function showApproval(
  { member, reached }: Approval,
  done: boolean,
  { otherPort }: Pick<Admitting, 'otherPort'>,
) {
  return {
    name: member.name,
    peer: member.peer,
    done,
    web: [...reached],
    notReached: member.web.filter((url) => !reached.includes(url)),
    otherPort: otherPort(member.web),
  }
}

const states: Readonly<Record<string, ShownInvitation['state']>> = {
  JOIN_INVITE_REVOKED: 'revoked',
  JOIN_INVITE_USED: 'used',
  JOIN_INVITE_EXPIRED: 'expired',
}

function showInvitation(invitation: Invitation, { nameOf, now }: Admitting): ShownInvitation {
  const { key, note, createdMs, expiresMs, uses, usedBy } = invitation
  return {
    id: invitationId(key),
    note,
    created: formatDate(createdMs),
    expires: formatDate(expiresMs),
    uses,
    usedBy: usedBy.map(({ peer, atMs }) => ({ peer, name: nameOf(peer), at: formatDate(atMs) })),
    state: states[whyNotGood(invitation, now())?.code ?? ''] ?? 'good',
  }
}
