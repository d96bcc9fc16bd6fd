# What the extension shows and needs of a system (docs/design/release-build.md): of its symbols its
# initialisation alone is visible, and with BLITZIO_BUNDLE what it uses of the C++ library and of
# liburing is linked into it. So it runs where the former is older than the compiler's and the
# latter missing, and the pages of the rest of both are not mapped.
include(CheckCXXSourceCompiles)

function(blitzio_bundle target)
  set(exports ${PROJECT_SOURCE_DIR}/src/python/exports.map)
  target_link_options(${target} PRIVATE -Wl,--gc-sections -Wl,--version-script=${exports})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${exports})
  # A sanitizer's own library stands on the shared one.
  if(BLITZIO_BUNDLE STREQUAL "OFF" OR BLITZIO_SANITIZE)
    return()
  endif()
  # Some distributions package the static library apart.
  # -fPIC for a module: what CMake adds by itself is for a program, -fPIE, and would count.
  set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
  set(CMAKE_REQUIRED_FLAGS -fPIC)
  set(CMAKE_REQUIRED_LINK_OPTIONS -static-libstdc++ -shared)
  check_cxx_source_compiles(
    "#include <stdexcept>
     extern \"C\" void PyInit__native() { throw std::runtime_error(\"linked\"); }"
    BLITZIO_CAN_BUNDLE)
  if(BLITZIO_CAN_BUNDLE)
    target_link_options(${target} PRIVATE -static-libstdc++)
  elseif(BLITZIO_BUNDLE STREQUAL "ON")
    message(FATAL_ERROR "BLITZIO_BUNDLE=ON needs the static C++ library")
  else()
    message(STATUS "The static C++ library is not installed: the extension needs the shared one")
  endif()
  if(LIBURING_FOUND)
    blitzio_bundle_liburing(${target})
  endif()
endfunction()

function(blitzio_bundle_liburing target)
  find_library(BLITZIO_LIBURING_ARCHIVE liburing.a HINTS ${LIBURING_LIBRARY_DIRS})
  mark_as_advanced(BLITZIO_LIBURING_ARCHIVE)
  # It may have been compiled for programs alone.
  set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
  set(CMAKE_REQUIRED_FLAGS -fPIC)
  set(CMAKE_REQUIRED_LINK_OPTIONS -shared)
  set(CMAKE_REQUIRED_INCLUDES ${LIBURING_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_LIBRARIES ${BLITZIO_LIBURING_ARCHIVE})
  if(BLITZIO_LIBURING_ARCHIVE)
    check_cxx_source_compiles(
      "#include <liburing.h>
       extern \"C\" int PyInit__native(io_uring* ring) { return io_uring_queue_init(8, ring, 0); }"
      BLITZIO_CAN_BUNDLE_LIBURING)
  endif()
  if(BLITZIO_CAN_BUNDLE_LIBURING)
    # The shared one, which the core's users get, finds nothing left to define.
    target_link_options(${target} PRIVATE -Wl,--as-needed)
    target_link_libraries(${target} PRIVATE ${BLITZIO_LIBURING_ARCHIVE})
  else()
    message(STATUS "No static liburing for a module: the extension needs the shared one")
  endif()
endfunction()
