var h={<<repeat:2000>>"<<random:digits:4>>":"<<random:hex:20>>",<</repeat>>};
