/**
 * Secret keys of the simulation's authors, made once by openpgp.js (`type: 'ecc'`, without subkeys and
 * salt), so that a seed gives the same bytes on every machine. Good for nothing else.
 */
export const authorKeys = {
  asamblea: `-----BEGIN PGP PRIVATE KEY BLOCK-----

xVgEauaBABYJKwYBBAHaRw8BAQdAyL3qKRCRR+BbArBu3a7DZ6FkGFzoALWd
aZ/1W4Wh7CgAAP9yPkxng5vUV9qaDP8nHnvoTd9I+A5XMDNiuvmNBhcbiw9r
zQhhc2FtYmxlYcKNBBMWCgA/BYJq5oEAAwsJBwkQ/l9qCVj8qo8FFQoIDgwE
FgACAQIZAQKbAwIeARYhBLt3eWwOH+U/cfRWdv5faglY/KqPAAD2MgEAuxwd
rrVyGko+Lp0Fscexnny6ir4hV9SxrkcRDPUnqhEBAI2tKiu0ZCU5JeZA373I
2HMnUeXn2BZ1IWwam60ie5kA
=AK2Y
-----END PGP PRIVATE KEY BLOCK-----
`,
  cantine: `-----BEGIN PGP PRIVATE KEY BLOCK-----

xVgEauaBABYJKwYBBAHaRw8BAQdAvmuJu0O16vi7ZgVY7t+2vpIvlJK3TNin
ivCvS+X54SAAAQCZW9TJHXCv07tgJVaToyEFdmrxECrkNoTtpjuyfneZUQ+b
zQdjYW50aW5lwo0EExYKAD8FgmrmgQADCwkHCRANGKyeM7SGQgUVCggODAQW
AAIBAhkBApsDAh4BFiEEnwOv1qDnEtnHLZy6DRisnjO0hkIAAEpBAQCFZSEp
H0g/xkkRDowq65NgDoI8DgQnDaqkLrLAmeRWWQD9HGURNmatimtZG8JmND5n
qbqiSCYo2fYwdeTY/38eOAI=
=wo1k
-----END PGP PRIVATE KEY BLOCK-----
`,
  harvest: `-----BEGIN PGP PRIVATE KEY BLOCK-----

xVgEauaBABYJKwYBBAHaRw8BAQdAVQ55uCmiJMoqEEOXYKz2sIwY2HEDa1ur
uuKIL6glMxEAAQCIygmVUER+iHutehnJ0JfLD+7BUFfx0rSHexBMR3OSnRBk
zQdoYXJ2ZXN0wo0EExYKAD8FgmrmgQADCwkHCRDNrgkH727NFgUVCggODAQW
AAIBAhkBApsDAh4BFiEEPMdn7EdSqHpE+QJZza4JB+9uzRYAAFaQAQCeEtDA
LZgsSuWwPCM7iCjWhHBPTOz12LqFKwhY5CezUgD/fMLkNZry6GfLK+UW/rnt
jstU6a58tbSnDe6usN6J0gQ=
=RuQ6
-----END PGP PRIVATE KEY BLOCK-----
`,
} as const
