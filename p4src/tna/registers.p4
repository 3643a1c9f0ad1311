// The registers: plain flows as the switch itself keeps them. Tables win over them.
//
// slot      ingress: tag (32: class, subscriber, outside port without its way), inside id
//           egress:  end (32, ticks), who reserved it (32)
//           Index: hash of the tag. A cell is the mapping of one outside port.
// session   ingress: remote address (32), inside id (16), class (2), subscriber (14)
//           egress:  end, who reserved it; phase (8); what inside acknowledged last (32)
//           Index: a hash that, all else given, is a bijection of the remote id: so the
//           cell does not hold it, and still no two flows share a cell.
// fragment  source, destination; protocol and identification, identifiers; end
// pinhole   number, flow that claimed it
//
// An operation reaches two words of one array and two words of the packet. So identity is in
// ingress and time in egress, and a claim takes two passes: the first reserves a cell in
// egress ("if it ended before now"), the second writes the identity in ingress. Who reserved
// a cell is noted beside its end, so that packets of one endpoint in one burst reserve the
// same cell.

#define CRC_WAY0 0x1021
#define CRC_WAY1 0x8005
#define CRC_WAY2 0x3D65
#define CRC_WAY3 0x8BB7
#define CRC_SLOT0 0x04C11DB7
#define CRC_SLOT1 0x1EDC6F41
#define CRC_SLOT2 0xA833982B
