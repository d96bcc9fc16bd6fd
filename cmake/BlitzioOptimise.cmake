# What only a release is worth: optimising across files, and for what a training run showed to be hot.
# `./dev.py wheel` configures one build folder twice, as GCC finds the counts of an object file by its
# path.
if(BLITZIO_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

if(BLITZIO_PROFILE)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    message(FATAL_ERROR "BLITZIO_PROFILE needs GCC")
  endif()
  if(BLITZIO_PROFILE STREQUAL "TRAIN")
    # Atomic: threads of the pool count, too.
    set(profile_flags -fprofile-generate=${BLITZIO_PROFILE_DIR} -fprofile-update=atomic)
  elseif(BLITZIO_PROFILE STREQUAL "USE")
    # What the training did not reach has no profile, which is no mistake; and what optimising for a
    # profile makes of code is not what warnings were meant for.
    set(profile_flags -fprofile-use=${BLITZIO_PROFILE_DIR} -fprofile-partial-training
        -Wno-missing-profile -Wno-coverage-mismatch)
  else()
    message(FATAL_ERROR "BLITZIO_PROFILE must be empty, TRAIN or USE, not ${BLITZIO_PROFILE}")
  endif()
  target_compile_options(blitzio_flags INTERFACE ${profile_flags})
  target_link_options(blitzio_flags INTERFACE ${profile_flags})
endif()
