#pragma once

#include <memory>

#include "channel/server_client.h"
#include "item.h"

namespace interleave {

// Answers one item of a client. Destroyed without an answer, it answers kUnavailable, so that no caller waits for ever.
std::unique_ptr<Responder> MakeResponder(std::shared_ptr<ServerClient> client, std::uint64_t itemId,
                                         const Block& response);

}  // namespace interleave
