/** Names of broadcasts, by the server's rules: what it would refuse is said here first. */

/** Bytes, which are characters here. */
const LONGEST = 200;
const LONGEST_ELEMENT = 64;

/** What is wrong with a name, as a sentence; `null` where it can be used. */
export function problemWithName(name: string): string | null {
  if (name === '') return 'Give the broadcast a name, such as live/me.';
  if (name.length > LONGEST)
    return `The name has ${name.length} characters where at most ${LONGEST} are allowed.`;
  const stranger = /[^A-Za-z0-9\-_.~/]/u.exec(name)?.[0];
  if (stranger !== undefined)
    return `“${stranger}” cannot be part of a name: letters, digits, - _ . ~ and / can.`;
  for (const element of name.split('/')) {
    if (element === '') return 'A name neither begins nor ends with /, and has no two in a row.';
    if (/^\.+$/.test(element)) return 'No part of a name between slashes can be dots alone.';
    if (element.length > LONGEST_ELEMENT)
      return `A part between slashes has ${element.length} characters where at most ${LONGEST_ELEMENT} are allowed.`;
  }
  return null;
}
