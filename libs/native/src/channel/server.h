#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "item.h"

namespace interleave {

struct ChannelServerOptions {
  std::string socketPath;         // at most 107 bytes; a stale file of this name is replaced
  std::uint32_t clientsMax = 64;  // handshakes under way included; more are refused
  std::chrono::milliseconds handshakeMax{5000};
  // Told why a client was refused or dropped; called on the I/O thread. May be empty.
  std::function<void(std::string_view)> log;
  // Called on the I/O thread before anything else. May be empty.
  std::function<void()> prepareThread{};
  // Called on the I/O thread: true when something came after a quiet time, false when nothing has come for
  // `quietAfter`. May be empty.
  std::function<void(bool isBusy)> onActivity{};
  std::chrono::milliseconds quietAfter{};
};

struct ChannelServerStats {
  std::uint64_t clients = 0;
  std::uint64_t itemsInFlight = 0;
};

// The worker's end of all its channels: listens, checks what clients send, hands items to the sink. One I/O thread.
//
// Opened -> Draining (Stop called: no new clients, new items are answered kUnavailable) -> Stopped.
class ChannelServer {
 public:
  // Listens from the moment it returns. `text` is what new clients are told (opaque here; JSON in practice; at most 16
  // MiB). `sink` outlives the server and is called on the I/O thread only. Throws std::system_error.
  ChannelServer(ChannelServerOptions options, ItemSink& sink, std::string text);
  // As Stop(0).
  ~ChannelServer();

  // Replaces the text, and sends it to every client. Any thread.
  void PublishText(std::string text);

  // Closes the listener, waits up to `drainMax` until every item that was handed over is answered, then closes the
  // channels and ends the I/O thread. Answers that come later are dropped. Idempotent; not on the I/O thread.
  void Stop(std::chrono::milliseconds drainMax);

  // Any thread.
  ChannelServerStats Stats() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace interleave
