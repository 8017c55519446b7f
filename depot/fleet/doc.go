// Package fleet keeps devices: how machines come in, and how they are put out.
//
// # Enrolment
//
// The owner's client makes a one-time code, seals under it what the new device needs, and stores the sealed
// blob here with the hash of a token that is derived from the code. The server never sees the code. Whoever
// has it fetches the blob with the token, makes a key pair and registers. A code is valid for 15 minutes and
// for one device: using it up and making the device are one transaction. A code that is unknown, used up or
// expired, or whose owner is suspended, gets one and the same answer.
//
// Who is logged in as the owner can register a device without a code.
//
// # Rights
//
// A device token stands for the device alone: see package actor. Owners see and change their devices;
// administrators see all of them and may revoke them, because a stolen laptop does not wait for its owner.
// To anyone else a device does not exist. Revoking withdraws the token at once and for ever; the device stays
// in the list, because its snapshots do. "device:<id>" on the bus then tells open connections to look.
//
// # Names
//
// The devices of a person that are not revoked have different names. A machine that registers under a name
// that is taken gets a number behind it, since nobody may be there to choose another; renaming to one that is
// taken is refused.
package fleet
