(defparameter *key* "<<id:1>>")
(defparameter *secret* "<<secret:1>>")
