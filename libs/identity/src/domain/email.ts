/** The form in which addresses are compared: NFC, without blanks around it, lower case. */
export function normaliseEmail(email: string): string {
  return email.normalize('NFC').trim().toLowerCase();
}
