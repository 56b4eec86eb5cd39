#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "channel/arena.h"
#include "channel/blocks.h"
#include "channel/fd.h"
#include "channel/messages.h"
#include "channel/region.h"
#include "channel/ring.h"

namespace interleave {

enum class ChannelErrorCode {
  kInvalid,      // the caller's mistake
  kUnreachable,  // nobody listens
  kTimeout,
  kRefused,   // the worker said no
  kProtocol,  // the worker broke the protocol: close the channel
  kTooLarge,  // can never fit the arena
  kClosed,
};

class ChannelError : public std::runtime_error {
 public:
  // `item`: position of the request at fault in its submission, −1 when it is no single one.
  ChannelError(ChannelErrorCode code, const std::string& message, int item = -1)
      : std::runtime_error(message), code_(code), item_(item) {}
  ChannelErrorCode code() const { return code_; }
  int item() const { return item_; }

 private:
  ChannelErrorCode code_;
  int item_;
};

struct ChannelClientOptions {
  std::string socketPath;
  std::uint64_t arenaBytes = 0;
  std::uint32_t itemsMax = 0;  // in flight; the rings get the next power of two
  std::chrono::milliseconds timeout{1000};
};

struct ItemInFlight {
  std::uint64_t itemId;
  ResponseState state;
};

// The client's end of one channel. One thread at a time.
//
// The owner of the socket (libuv in node) reads it and hands the bytes to Receive(); when it reports the end of the
// connection, NextCompletion() still gives what was finished, and ItemsInFlight() tells what became of the rest.
class ChannelClient {
 public:
  // Connects and shakes hands; blocks up to `timeout`. Throws ChannelError.
  static std::unique_ptr<ChannelClient> Connect(const ChannelClientOptions& options);

  // What the worker said in the handshake.
  const std::string& welcomeText() const { return welcomeText_; }
  // The connected socket; still owned by the channel.
  int socket() const { return socket_.get(); }

  // Copies the requests into the arena and submits them, all or none. Returns false when there is no room now for all
  // of them. `itemIds` receives one id for each, each one more than the one before. Throws kInvalid, kTooLarge,
  // kProtocol.
  bool Submit(std::span<const Request> requests, std::vector<std::uint64_t>& itemIds);

  // Asks the worker to forget an item that still waits. It is answered in any case.
  void Cancel(std::uint64_t itemId);

  // Takes what came over the socket; appends texts. Call NextCompletion afterwards until it gives none: the worker does
  // not ring before. Throws kProtocol.
  void Receive(std::string_view bytes, std::vector<std::string>& texts);

  struct Completion {
    std::uint64_t itemId = 0;
    Response response;  // its outputs point into the arena until FreeCompletion
  };
  // The next finished item, in the order of finishing; nullopt when there is none: from then on the worker rings the
  // doorbell for the next one. Throws kProtocol.
  std::optional<Completion> NextCompletion();
  // Gives the memory of the item back. Call once after each NextCompletion.
  void FreeCompletion(std::uint64_t itemId);

  // After the worker is gone: answers that are complete but were not announced any more.
  std::optional<Completion> NextOrphan();
  // Items without an answer.
  std::vector<ItemInFlight> ItemsInFlight() const;

  std::uint64_t freeBytes() const { return arena_.freeBytes(); }
  std::uint64_t arenaBytes() const { return arena_.totalBytes(); }

 private:
  // One allocation holds request and response.
  struct Slot {
    std::uint64_t offset;
    std::uint64_t requestBytes;
    std::uint64_t responseBytes;
    bool taken;      // by NextCompletion
    bool cancelled;  // asking twice would only fill the ring
  };

  ChannelClient(Fd socket, Region region, std::uint32_t itemsMax, std::string welcomeText);
  void Check(std::span<const Request> requests) const;
  bool Allocate(std::span<const Request> requests, std::vector<Slot>& slots);
  Block RequestBlock(const Slot& slot) const { return {region_.arena() + slot.offset, slot.requestBytes}; }
  Block ResponseBlock(const Slot& slot) const {
    return {region_.arena() + slot.offset + slot.requestBytes, slot.responseBytes};
  }
  Completion Complete(std::uint64_t itemId, Slot& slot);
  void PublishSubmissions();

  Fd socket_;
  Region region_;
  const std::uint32_t itemsMax_;
  std::string welcomeText_;
  Arena arena_;
  RingProducer<SubmissionCell> submissions_;
  RingConsumer<CompletionCell> completions_;
  SleepWord sleep_;
  Waker workerWaker_;
  FrameParser parser_;
  std::unordered_map<std::uint64_t, Slot> slots_;
  std::uint64_t nextItemId_ = 1;
};

}  // namespace interleave
