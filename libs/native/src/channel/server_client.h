#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "channel/blocks.h"
#include "channel/fd.h"
#include "channel/region.h"
#include "channel/ring.h"

namespace interleave {

// What the responders share with the server; it outlives the server when an executor still holds an item.
class ServerSignals {
 public:
  ServerSignals();  // throws std::system_error

  // Makes the I/O thread look around. Any thread.
  void WakeIoThread();
  int wakeFd() const { return wake_.get(); }

  std::atomic<std::uint64_t> itemsInFlight{0};  // handed to the sink and not yet answered
  std::atomic<bool> draining{false};

 private:
  Fd wake_;
};

// The worker's end of one channel: socket, region and rings of one client. Shared by the I/O thread and the responders
// of its items; the region stays mapped until the last of them lets go.
class ServerClient {
 public:
  // `pid` is what the client said, for logs only.
  ServerClient(std::uint64_t id, std::uint32_t pid, Fd socket, Region region, std::shared_ptr<ServerSignals> signals);

  std::uint64_t id() const { return id_; }
  std::uint32_t pid() const { return pid_; }
  ServerSignals& signals() const { return *signals_; }

  // --- I/O thread ---

  enum class Next { kCell, kEmpty, kBroken };
  // The next submission; while there are some, the client need not ring. After kEmpty it rings for the next one.
  Next TakeCell(SubmissionCell& cell);

  // The block of a submission, checked to be inside the arena and to fit `bytesMin`.
  std::optional<Block> BlockOf(std::uint64_t offset, std::uint64_t bytes, std::uint64_t bytesMin) const;

  // True while the client keeps to its ring capacity, counting the item that was just taken.
  bool AdmitItem();

  // Reads some doorbells away: not all, or a client that never stops ringing would have the I/O thread for itself.
  // False when the client closed its end or sent anything else; after true TakeCell must be called until kEmpty.
  bool TakeDoorbells();

  // Sends what did not fit the socket buffer before.
  void FlushSocket();
  bool socketHasBacklog();
  // Closes the socket; everything that is sent later is dropped.
  void Close();
  int socket() const { return socket_.get(); }

  // --- any thread ---

  // Tells the client that the response of this item is done.
  void Complete(std::uint64_t itemId);
  void SendText(std::string_view text);
  // `message` as EncodeWelcome made it; the first thing sent.
  void SendWelcome(std::string_view message) { Send(message); }
  bool gone() const { return gone_.load(std::memory_order_relaxed); }
  // The client broke the protocol or does not read its socket: the I/O thread is to drop it.
  bool broken() const { return broken_.load(std::memory_order_relaxed); }

 private:
  void Send(std::string_view bytes);
  void MarkBroken();

  const std::uint64_t id_;
  const std::uint32_t pid_;
  const std::shared_ptr<ServerSignals> signals_;
  const Region region_;
  std::atomic<bool> gone_{false};
  std::atomic<bool> broken_{false};

  // I/O thread only.
  RingConsumer<SubmissionCell> submissions_;
  SleepWord sleep_;
  std::uint64_t itemsTaken_ = 0;

  std::mutex completionMutex_;  // guards the two below; never held while sending
  RingProducer<CompletionCell> completions_;
  Waker clientWaker_;

  std::mutex sendMutex_;  // guards the two below, so that nobody sends on a closed descriptor
  Fd socket_;
  std::string backlog_;
};

}  // namespace interleave
