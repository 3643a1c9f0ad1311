// p4alg for the Tofino Native Architecture, Tofino 1 and Tofino 2.
#include <core.p4>
#if __TARGET_TOFINO__ == 2
#include <t2na.p4>
#else
#include <tna.p4>
#endif

#include "sizes.p4"
#include "../shared/sizes.p4"
#include "../shared/headers.p4"
#include "metadata.p4"
#include "registers.p4"
#include "parser.p4"

// The stages of ingress, in order.
#include "zone.p4"
#include "source.p4"
#include "options.p4"
#include "flow_key.p4"
#include "policy.p4"
#include "mapping.p4"
#include "subscriber.p4"
#include "slot.p4"
#include "session.p4"
#include "verdict.p4"
#include "route.p4"
#include "ingress.p4"

// The stages of egress, in order.
#include "lifetime.p4"
#include "sequence.p4"
#include "rewrite.p4"
#include "leave.p4"
#include "punt.p4"
#include "egress.p4"

#include "deparser.p4"

@pkginfo(name="p4alg", version="0.1.0")
Pipeline(IngressParser(), GatewayIngress(), IngressDeparser(),
         EgressParser(), GatewayEgress(), EgressDeparser()) pipe;
Switch(pipe) main;
